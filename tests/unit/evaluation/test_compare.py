import numpy as np
import pytest
from scipy.stats import binomtest

from smart_retail.errors import DataError
from smart_retail.evaluation.compare import compare, compare_all, mcnemar, verdict
from smart_retail.tasks import AGE, GENDER, Task
from tests.helpers.predictions import predictions


def test_a_network_beside_itself_differs_in_nothing():
    rows = compare(predictions(), predictions())
    assert (rows[["difference", "low", "high"]] == 0).all(axis=None)
    assert set(rows["p"].dropna()) == {1.0}
    assert {verdict(row) for _, row in rows.iterrows()} == {"no difference shown"}


def test_the_better_is_told_by_the_direction_of_each_metric():
    ours, theirs = predictions(right=0.7), predictions(right=0.95)
    theirs["age_pred"] = theirs["age"] + 1
    rows = compare(ours, theirs).set_index("metric")
    assert rows.loc["age_mae", "difference"] == pytest.approx(-2)
    assert all(verdict(row.rename_axis("metric").copy()) == "better" for row in with_metric(rows))
    back = compare(theirs, ours).set_index("metric")
    assert {verdict(row) for row in with_metric(back)} == {"worse"}
    assert rows.loc["gender_acc", "p"] == back.loc["gender_acc", "p"] < 0.001


def with_metric(rows):
    return [row for _, row in rows.drop(index=["age_cs5"], errors="ignore").reset_index().iterrows()]


def test_only_faces_that_both_judged_count():
    ours, theirs = predictions(100), predictions(100)
    theirs["key"] = [f"{i + 40}.jpg" for i in range(100)]
    theirs.loc[:9, "age_pred"] = np.nan
    rows = compare(ours, theirs).set_index("metric")
    assert rows.loc["emotion_acc", "faces"] == 60
    assert rows.loc["age_mae", "faces"] == 50
    theirs["key"] += "x"
    with pytest.raises(DataError, match="no face in common"):
        compare(ours, theirs)


def test_mcnemar_counts_where_one_alone_is_right():
    first = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool)
    second = np.array([1, 0, 0, 0, 0, 0, 1, 0], bool)
    assert mcnemar(first, second) == binomtest(5, 6).pvalue


def test_each_of_several_is_compared_with_the_first():
    tables = [predictions(seed=s) for s in range(3)]
    for table, name in zip(tables, "abc", strict=True):
        table.attrs = {"model": name}
    assert compare_all(tables)["model"].unique().tolist() == ["b", "c"]


def test_a_data_set_is_compared_apart_where_it_is_not_all_there_is():
    table = predictions(100)
    table.loc[:49, "dataset"] = "b"
    table.loc[50:, "emotion"] = np.nan
    rows = compare(table, table)
    assert set(rows["group"][rows["metric"] == "gender_acc"]) == {"all", "a", "b"}
    assert set(rows["group"][rows["metric"] == "emotion_acc"]) == {"all"}


def test_tasks_that_both_know_alike_are_compared():
    hat = Task("hat", classes=("none", "cap"))
    other = Task("hat", classes=("none", "hood"))
    rows = compare(predictions(tasks=(AGE, hat)), predictions(tasks=(GENDER, AGE, other)))
    assert set(rows["metric"]) == {"age_mae", "age_cs5"}
    with pytest.raises(DataError, match="no task in common"):
        compare(predictions(tasks=(hat,)), predictions(tasks=(other,)))
