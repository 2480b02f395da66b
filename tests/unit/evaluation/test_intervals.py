import numpy as np
import pandas as pd
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from smart_retail.errors import DataError
from smart_retail.evaluation.command import markdown
from smart_retail.evaluation.intervals import balanced_accuracy, bootstrap, macro_f1, mean_of
from smart_retail.evaluation.metrics import FEW, measure, tabulate
from smart_retail.evaluation.predictions import COLUMNS, read_predictions, write_predictions

RNG = np.random.default_rng(0)
LABELS, SAID = RNG.integers(0, 6, 400), RNG.integers(0, 6, 400)
ALONE = np.arange(400)


def predictions(count=200, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.random((count, len(COLUMNS))), columns=COLUMNS)
    table["key"], table["dataset"], table["cluster"] = [f"{i}.jpg" for i in range(count)], "a", np.arange(count)
    table["gender"], table["emotion"] = rng.integers(0, 2, count), rng.integers(0, 6, count)
    table["age"], table["race"] = rng.integers(1, 90, count).astype(float), "White"
    table["age_said"] = table["age"] + 3
    return table


def test_values_agree_with_torchmetrics():
    labels, said = torch.tensor(LABELS), torch.tensor(SAID)
    for statistic, expected in (
        (mean_of(LABELS == SAID), multiclass_accuracy(said, labels, 6, average="micro")),
        (balanced_accuracy(LABELS, SAID), multiclass_accuracy(said, labels, 6, average="macro")),
        (macro_f1(LABELS, SAID, 6), multiclass_f1_score(said, labels, 6, average="macro")),
    ):
        assert bootstrap(statistic, ALONE).value == pytest.approx(float(expected), abs=1e-6)


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation():
    values = RNG.normal(size=400)
    found = bootstrap(mean_of(values), ALONE)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.15)


def test_twins_count_as_one_observation():
    values = np.repeat(RNG.normal(size=100), 4)
    together = bootstrap(mean_of(values), np.repeat(np.arange(100), 4))
    apart = bootstrap(mean_of(values), ALONE)
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2, rel=0.2)


def test_the_same_seed_gives_the_same_interval():
    assert bootstrap(mean_of(LABELS), ALONE) == bootstrap(mean_of(LABELS), ALONE)


def test_one_cluster_has_no_interval():
    assert np.isnan(bootstrap(mean_of(np.ones(3)), np.zeros(3)).low)


def test_labels_that_are_missing_are_left_out():
    table = predictions()
    table["emotion"] = np.nan
    table.loc[:49, "age"] = np.nan
    found = measure(table)
    assert "emotion_acc" not in found
    assert found["age_mae"].faces == 150
    assert found["age_bias"].value == pytest.approx(3)


def test_groups_with_few_faces_are_named_without_a_figure():
    table = predictions()
    table.loc[: FEW - 2, "race"] = "Black"
    figures = tabulate(table)
    small = figures[figures["group"].str.startswith("Black")]
    assert len(small) and small["value"].isna().all() and (small["faces"] < FEW).all()
    assert "too few" in markdown(table, figures)


def test_the_report_says_what_was_reached():
    text = markdown(predictions(), tabulate(predictions()))
    assert "age, mean error in years: **3.00 (3.00 to 3.00)**; promised below 4.0: reached" in text
    assert "promised above 75: not reached" in text


def test_predictions_come_back(tmp_path):
    table = predictions()
    table.attrs = {"split": "val"}
    write_predictions(table, tmp_path / "p.parquet")
    read = read_predictions(tmp_path / "p.parquet")
    pd.testing.assert_frame_equal(read, table)
    assert read.attrs == {"split": "val"}


def test_bad_tables_are_named(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    pd.DataFrame({"key": ["a"]}).to_csv(tmp_path / "short.csv")
    for name, words in (("none.parquet", "no such"), ("bad.parquet", "damaged"), ("short.csv", "lacks the columns")):
        with pytest.raises(DataError, match=words):
            read_predictions(tmp_path / name)
