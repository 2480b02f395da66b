import numpy as np
import pytest

from smart_retail.evaluation.findings import grid
from smart_retail.evaluation.metrics import FEW, measure, tabulate
from smart_retail.evaluation.predictions import EMOTION_COLUMNS
from smart_retail.evaluation.wording import NAMES
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


def test_ages_of_which_a_range_is_known_are_inside_or_so_many_years_outside():
    table = predictions(4).assign(age=np.nan)
    table["age_low"], table["age_high"] = [20.0, 20, 70, np.nan], [29.0, 29, 100, np.nan]
    table["age_said"] = [29.4, 35.5, 60.0, 50.0]
    found = measure(table)
    assert "age_mae" not in found
    assert found["age_inside"].faces == 3
    assert found["age_inside"].value == pytest.approx(1 / 3)
    assert found["age_outside"].value == pytest.approx((0 + 6 + 9.5) / 3)


def test_emotions_are_measured_against_the_crowd_and_the_data_set():
    table = predictions(100)
    said = table[list(EMOTION_COLUMNS)].to_numpy().argmax(1)
    table["emotion_crowd"] = np.where(np.arange(100) < 90, said, np.nan)
    table["emotion_original"] = (said + (np.arange(100) < 50)) % 6
    found = measure(table)
    assert found["emotion_crowd_acc"][:1] + found["emotion_crowd_acc"][3:] == (1.0, 90)
    assert found["emotion_crowd_f1"].value == 1
    assert found["emotion_original_acc"].value == pytest.approx(0.5)


def test_an_opinion_that_was_learnt_is_shown_once():
    table = predictions(100)
    table["emotion_crowd"] = table["emotion"]
    table["emotion_original"] = (table["emotion"] + 1) % 6
    header = grid(tabulate(table).query("part == 'all'")).header
    assert NAMES["emotion_original_acc"] in header
    assert NAMES["emotion_crowd_acc"] not in header


def test_turned_heads_are_told_apart():
    table = predictions(100)
    table.loc[:59, "pose"], table.loc[60:, "pose"] = "turned", "frontal"
    table.loc[:59, "age_said"] = table["age"]
    poses = tabulate(table).query("part == 'pose' and metric == 'age_mae'").set_index("group")["value"]
    assert poses.to_dict() == pytest.approx({"frontal heads": 3.0, "turned heads": 0.0})


def test_ranges_of_ages_are_grouped_by_their_middle():
    table = predictions(200)
    table["age_low"], table["age_high"] = table["age"] // 10 * 10, table["age"] // 10 * 10 + 9
    table["age"] = np.nan
    groups = tabulate(table).query("part == 'group' and metric == 'gender_acc'")["group"]
    assert {"White", "male", "18 to 39"} <= set(groups)
