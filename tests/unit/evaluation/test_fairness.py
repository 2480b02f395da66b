import numpy as np
import pytest

from smart_retail.evaluation.compare import gaps
from tests.helpers.predictions import predictions


def test_the_worst_of_the_groups_that_have_enough_faces_and_its_gap():
    table = predictions(400, right=1.0)
    table["race"] = np.where(np.arange(400) < 200, "White", "Black")
    table.loc[:9, "race"] = "Asian"
    table.loc[200:, "age_pred"] = table["age"] + 9
    table.loc[200:299, ["p_gender_male", "p_gender_female"]] = 1 - table[["p_gender_male", "p_gender_female"]]
    rows = gaps(table).set_index(["factor", "metric"])
    age = rows.loc[("race", "age_mae")]
    assert (age["worst"], age["best"], age["groups"]) == ("Black", "White", 2)
    assert age[["gap", "low", "high"]].tolist() == pytest.approx([6, 6, 6])
    gender = rows.loc[("race", "gender_acc")]
    assert gender["gap"] == pytest.approx(-0.5) and gender["low"] < -0.5 < gender["high"] < 0
    assert rows.loc[("race, gender and age", "age_mae"), "worst"].startswith("Black, ")


def test_one_group_alone_or_small_groups_alone_have_no_gap():
    assert gaps(predictions(40)).query("factor == 'race'").empty
    table = predictions(40)
    table["race"] = [str(i) for i in range(40)]
    assert gaps(table).query("factor.str.startswith('race')").empty
    assert gaps(table.assign(race="")).empty
