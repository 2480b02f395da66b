import csv
import io
import json

import pytest

from smart_retail.data.crops import Square
from smart_retail.edge.predict_command import Answer, _csv, _json
from smart_retail.edge.predictor import Prediction

SAID = Prediction("female", {"female": 1.0}, 30, (25, 35), "happy", {"happy": 1.0})


@pytest.mark.parametrize("square", [Square(10, 20, 30, 5), None])
def test_csv_and_json_tell_where_a_face_was_cut(square):
    table, lines = io.StringIO(), io.StringIO()
    answers = [Answer("a.jpg", square, SAID)]
    assert (_csv([], answers, table), _json([], answers, lines)) == (1, 1)
    row, said = next(csv.DictReader(table.getvalue().splitlines())), json.loads(lines.getvalue())
    assert (row["file"], row["gender"], said["gender"]) == ("a.jpg", "female", "female")
    assert [row[name] for name in Square._fields] == (["10.0", "20.0", "30.0", "5.0"] if square else [""] * 4)
    assert [said.get(name) for name in Square._fields] == ([10, 20, 30, 5] if square else [None] * 4)
