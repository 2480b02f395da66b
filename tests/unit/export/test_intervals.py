import numpy as np
import pytest

from smart_retail.evaluation.metrics import MIN_GROUP_FACES
from smart_retail.export.intervals import BANDS, years_interval
from smart_retail.tasks import AGE
from tests.helpers.predictions import predictions


def uneven(count=6000):
    """Ages of which the young are known within two years, and the old within twelve."""
    rng = np.random.default_rng(0)
    table = predictions(count)
    table["age_pred"] = rng.uniform(10, 70, count)
    table["age"] = table["age_pred"] + rng.normal(size=count) * np.where(table["age_pred"] < 40, 2, 12)
    return table


def test_the_stated_share_of_true_years_lies_inside_in_every_band():
    table = uneven()
    found = years_interval(table, AGE, coverage=0.8)
    assert (found["coverage"], found["faces"]) == (0.8, 6000)
    assert [band["from"] for band in found["bands"]] == list(BANDS)
    bands = {band["from"]: band for band in found["bands"]}
    for start, end in ((10, 20), (30, 40), (40, 55)):
        inside = table[table["age_pred"].between(start, end, inclusive="left")]
        off = inside["age"] - inside["age_pred"]
        assert off.between(-bands[start]["below"], bands[start]["above"]).mean() == pytest.approx(0.8, abs=0.01)
    assert bands[40]["above"] > 4 * bands[20]["above"]


def test_a_thin_band_borrows_from_all_faces():
    table = uneven()
    bands = {band["from"]: band for band in years_interval(table, AGE)["bands"]}
    everyone = np.quantile(table["age"] - table["age_pred"], [0.1, 0.9])
    assert (bands[0]["below"], bands[0]["above"]) == pytest.approx((-everyone[0], everyone[1]))


def test_few_labels_promise_nothing():
    table = predictions(MIN_GROUP_FACES + 5)
    assert years_interval(table, AGE)["faces"] == MIN_GROUP_FACES + 5
    table.loc[:5, "age"] = np.nan
    assert years_interval(table, AGE) == {}


def test_an_answer_that_is_always_too_old_reaches_below_alone():
    for band in years_interval(predictions(), AGE)["bands"]:
        assert (band["below"], band["above"]) == pytest.approx((3, 0))
