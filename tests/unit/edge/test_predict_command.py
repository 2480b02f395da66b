import csv
import io
import json

import pytest

from smart_retail.data.crops import Square
from smart_retail.edge.predict_command import Answer, _csv, _json, _table
from smart_retail.edge.predictor import Attribute, Prediction
from smart_retail.tasks import TASKS, Task

SAID = {
    "gender": Attribute("female", {"female": 1.0}),
    "age": Attribute(30.0, interval=(25.0, 35.0)),
    "emotion": Attribute("happy", {"happy": 1.0}),
}
GLASSES = Task("glasses", classes=("none", "glasses"))


@pytest.mark.parametrize("square", [Square(10, 20, 30, 5), None])
def test_csv_and_json_tell_where_a_face_was_cut(square):
    table, lines = io.StringIO(), io.StringIO()
    answers = [Answer("a.jpg", square, Prediction(SAID))]
    assert (_csv([], answers, TASKS, table), _json([], answers, TASKS, lines)) == (1, 1)
    row, said = next(csv.DictReader(table.getvalue().splitlines())), json.loads(lines.getvalue())
    assert (row["file"], row["gender"], said["gender"]) == ("a.jpg", "female", "female")
    assert [row[name] for name in Square._fields] == (["10.0", "20.0", "30.0", "5.0"] if square else [""] * 4)
    assert [said.get(name) for name in Square._fields] == ([10, 20, 30, 5] if square else [None] * 4)


def test_every_format_has_the_tasks_of_the_bundle_alone():
    tasks, said = (
        (TASKS[1], GLASSES),
        {"age": SAID["age"], "glasses": Attribute("none", {"none": 0.75, "glasses": 0.25})},
    )
    answers = [Answer("a.jpg", None, Prediction(said))]
    out = {name: io.StringIO() for name in ("csv", "json", "table")}
    for write, name in ((_csv, "csv"), (_json, "json"), (_table, "table")):
        assert write(["a.jpg"], answers, tasks, out[name]) == 1
    assert out["csv"].getvalue().splitlines() == [
        "file,x,y,side,angle,age,age_from,age_to,glasses,glasses_p,error",
        "a.jpg,,,,,30.0,25,35,none,0.75,",
    ]
    assert json.loads(out["json"].getvalue()) == {
        "file": "a.jpg",
        "age": 30.0,
        "age_interval": [25.0, 35.0],
        "glasses": "none",
        "glasses_probabilities": {"none": 0.75, "glasses": 0.25},
    }
    assert [line.split() for line in out["table"].getvalue().splitlines()] == [
        ["file", "age", "interval", "glasses"],
        ["a.jpg", "30", "25", "to", "35", "none", "0.75"],
    ]
