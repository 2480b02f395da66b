import numpy as np
import pandas as pd
import pytest

from smart_retail.errors import DataError
from smart_retail.evaluation.predictions import read_predictions, tasks_of_table, write_predictions
from smart_retail.tasks import AGE, Task
from tests.helpers.predictions import P_EMOTION, predictions


def test_predictions_come_back(tmp_path):
    table = predictions()
    write_predictions(table, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(read, table)
    assert read.attrs == table.attrs


def test_anyones_csv_needs_keys_and_answers_alone(tmp_path):
    reference = predictions(40)
    reference.loc[0, "key"] = "a/b, c.jpg"
    theirs = pd.DataFrame({"key": reference["key"][:30], "age_pred": 30, "emotion_pred": "happy", "gender_pred": 1})
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    read = read_predictions(tmp_path / "theirs.csv", reference)
    assert len(read) == 30
    assert read["age"].tolist() == reference["age"][:30].tolist()
    assert (
        read["p_emotion_happy"].eq(1).all()
        and read["p_gender_female"].eq(1).all()
        and read["p_emotion_sad"].eq(0).all()
    )


def test_a_csv_may_bring_its_own_labels(tmp_path):
    rows = {
        "key": ["a", "b", "c"],
        "emotion": ["Happy", "", "sad"],
        "emotion_pred": ["happy", "sad", ""],
        "age_pred": [1, 2, 3],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    read = read_predictions(tmp_path / "own.csv")
    assert read["emotion"].fillna(-1).tolist() == [2, -1, 4]
    assert np.isnan(read[P_EMOTION].to_numpy()[2]).all()
    assert read["dataset"].eq("unnamed").all() and read["cluster"].nunique() == 3 and read["gender"].isna().all()


def test_tables_tell_their_tasks_and_others_take_those_of_the_first(tmp_path):
    hat = Task("hat", classes=("none", "cap"))
    table = predictions(40, tasks=(AGE, hat))
    write_predictions(table, tmp_path / "p.parquet")
    first = read_predictions(tmp_path / "p.parquet")
    assert tasks_of_table(first) == (AGE, hat)
    pd.DataFrame({"key": table["key"], "hat_pred": "cap"}).to_csv(tmp_path / "theirs.csv", index=False)
    theirs = read_predictions(tmp_path / "theirs.csv", first)
    assert tasks_of_table(theirs) == (AGE, hat)
    assert theirs["p_hat_cap"].eq(1).all() and theirs["hat"].tolist() == table["hat"].tolist()
    assert theirs["age_pred"].isna().all()


@pytest.mark.parametrize("told", [3, "x", [], [{}], [{"name": "age"}, {"name": "age"}], [{"name": "a b"}]])
def test_tasks_that_cannot_be_are_refused(tmp_path, told):
    table = predictions(4)
    table.attrs["tasks"] = told
    table.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(DataError, match="tasks cannot be"):
        read_predictions(tmp_path / "p.parquet")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"age": [1]}, "in a column key"),
        ({"key": ["x"], "age": [1]}, "has no predictions"),
        ({"key": ["x"], "age_pred": [1]}, "has no labels"),
        ({"key": ["x", "x"], "age": [1, 2], "age_pred": [1, 2]}, "names a face twice: x"),
        ({"key": ["x"], "gender": [0], "gender_pred": ["masculine"]}, "'masculine' is none of male, female"),
        ({"key": ["x"], "gender": [0], "p_gender_male": [1]}, "lacks p_gender_female beside p_gender_male"),
        ({"key": ["x"], "gender": [0], "p_gender_male": [3], "p_gender_female": [0]}, "must be probabilities"),
        ({"key": ["x"], "age": [3], "age_pred": [float("inf")]}, "age_pred holds what is no number"),
    ],
)
def test_bad_tables_are_named(tmp_path, columns, words):
    pd.DataFrame(columns).to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match=words):
        read_predictions(tmp_path / "bad.csv")


def test_bad_files_are_named(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    pd.DataFrame({"key": ["else"], "age_pred": [3]}).to_csv(tmp_path / "other.csv")
    for name, words in (("none.parquet", "no such"), ("bad.parquet", "damaged"), ("other.csv", "none of the faces")):
        with pytest.raises(DataError, match=words):
            read_predictions(tmp_path / name, predictions())
