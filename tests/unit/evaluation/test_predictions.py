import numpy as np
import pandas as pd
import pytest

from smart_retail.errors import DataError
from smart_retail.evaluation.predictions import EMOTION_COLUMNS, read_predictions, write_predictions
from tests.helpers.predictions import predictions


def test_predictions_come_back(tmp_path):
    table = predictions()
    write_predictions(table, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(read, table)
    assert read.attrs == table.attrs


def test_anyones_csv_needs_keys_and_answers_alone(tmp_path):
    reference = predictions(40)
    reference.loc[0, "key"] = "a/b, c.jpg"
    theirs = pd.DataFrame({"key": reference["key"][:30], "age_said": 30, "emotion_said": "happy", "gender_said": 1})
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    read = read_predictions(tmp_path / "theirs.csv", reference)
    assert len(read) == 30
    assert read["age"].tolist() == reference["age"][:30].tolist()
    assert read["p_happy"].eq(1).all() and read["p_female"].eq(1).all() and read["p_sad"].eq(0).all()


def test_a_csv_may_bring_its_own_labels(tmp_path):
    rows = {
        "key": ["a", "b", "c"],
        "emotion": ["Happy", "", "sad"],
        "emotion_said": ["happy", "sad", ""],
        "age_said": [1, 2, 3],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    read = read_predictions(tmp_path / "own.csv")
    assert read["emotion"].fillna(-1).tolist() == [2, -1, 4]
    assert np.isnan(read[EMOTION_COLUMNS].to_numpy()[2]).all()
    assert read["dataset"].eq("unnamed").all() and read["cluster"].nunique() == 3 and read["gender"].isna().all()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"age": [1]}, "in a column key"),
        ({"key": ["x"], "age": [1]}, "has no predictions"),
        ({"key": ["x"], "age_said": [1]}, "has no labels"),
        ({"key": ["x", "x"], "age": [1, 2], "age_said": [1, 2]}, "names a face twice: x"),
        ({"key": ["x"], "gender": [0], "gender_said": ["masculine"]}, "'masculine' is none of male, female"),
        ({"key": ["x"], "gender": [0], "p_male": [1]}, "lacks p_female beside p_male"),
        ({"key": ["x"], "gender": [0], "p_male": [3], "p_female": [0]}, "must be probabilities"),
        ({"key": ["x"], "age": [3], "age_said": [float("inf")]}, "age_said holds what is no number"),
    ],
)
def test_bad_tables_are_named(tmp_path, columns, words):
    pd.DataFrame(columns).to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match=words):
        read_predictions(tmp_path / "bad.csv")


def test_bad_files_are_named(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    pd.DataFrame({"key": ["else"], "age_said": [3]}).to_csv(tmp_path / "other.csv")
    for name, words in (("none.parquet", "no such"), ("bad.parquet", "damaged"), ("other.csv", "none of the faces")):
        with pytest.raises(DataError, match=words):
            read_predictions(tmp_path / name, predictions())
