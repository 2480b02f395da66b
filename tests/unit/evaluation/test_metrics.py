import numpy as np
import pytest

from smart_retail.evaluation.metrics import FEW, measure, tabulate
from tests.helpers.predictions import predictions


def test_labels_that_are_missing_are_left_out():
    table = predictions()
    table["emotion"] = np.nan
    table.loc[:49, "age"] = np.nan
    found = measure(table)
    assert "emotion_acc" not in found
    assert found["age_mae"].faces == 150
    assert found["age_bias"].value == pytest.approx(3)


def test_answers_that_are_missing_are_left_out():
    table = predictions()
    table.loc[:9, ["p_male", "p_female"]] = np.nan
    assert measure(table)["gender_acc"].faces == 190


def test_groups_with_few_faces_are_named_without_a_figure():
    table = predictions()
    table.loc[: FEW - 2, "race"] = "Black"
    figures = tabulate(table)
    small = figures[figures["group"].str.startswith("Black")]
    assert len(small) and small["value"].isna().all() and (small["faces"] < FEW).all()


def test_faces_with_a_twin_are_told_apart():
    table = predictions()
    table.loc[:99, "twin"] = "set aside"
    table.loc[:99, "age_said"] = table["age"]
    figures = tabulate(table)
    apart = figures[(figures["part"] == "twins") & (figures["metric"] == "age_mae")].set_index("group")["value"]
    assert apart.to_dict() == pytest.approx(
        {"a, without a twin in training": 3.0, "a, twin set aside from training": 0.0}
    )
