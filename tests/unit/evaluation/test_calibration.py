import numpy as np
import pytest

from smart_retail.edge.calibration import softmax
from smart_retail.evaluation.calibration import calibration, reliability
from smart_retail.tasks import EMOTION, GENDER
from tests.helpers.predictions import P_EMOTION, P_GENDER, predictions


def sure(temperature, count=4000):
    """Emotions drawn from probabilities, which are then made surer by a temperature."""
    rng = np.random.default_rng(0)
    table = predictions(count)
    logits = rng.normal(size=(count, 6))
    table["emotion"] = [rng.choice(6, p=row) for row in softmax(logits)]
    table[P_EMOTION] = softmax(logits / temperature)
    table["age_pred"] = table["age"] + rng.normal(size=count) * 6
    table["age_std"] = 3.0
    return table


def test_who_is_too_sure_is_told_by_how_much():
    rows = calibration(sure(0.4)).set_index("task")
    assert rows.loc["emotion", "temperature"] == pytest.approx(2.5, rel=0.1)
    assert rows.loc["emotion", "surplus"] > 0.1
    assert rows.loc["emotion", "error"] > 0.1 > 0.03 > rows.loc["emotion", "error_after"]


def test_an_age_interval_that_is_too_narrow_is_widened_to_its_coverage():
    row = calibration(sure(1.0)).set_index("task").loc["age"]
    assert row["error"] == pytest.approx(0.48, abs=0.03)  # half the true deviation
    assert row["temperature"] == pytest.approx(2, rel=0.05)
    assert row["error_after"] == pytest.approx(0.8, abs=0.02)


def test_reliability_lies_on_the_line_for_honest_probabilities():
    rows = reliability(sure(1.0), EMOTION)
    assert rows["faces"].sum() == 4000
    assert ((rows["low"] <= rows["confidence"]) & (rows["confidence"] <= rows["high"])).mean() > 0.7


def test_classes_without_probabilities_have_no_calibration():
    table = predictions(400)
    table[P_GENDER] = table[P_GENDER].round()
    assert "gender" not in set(calibration(table)["task"])
    assert reliability(table, GENDER).empty
