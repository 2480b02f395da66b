import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_accuracy, multiclass_f1_score

from smart_retail.evaluation.intervals import balanced_accuracy, bootstrap, difference, macro_f1, mean_of

RNG = np.random.default_rng(0)
LABELS, SAID = RNG.integers(0, 6, 400), RNG.integers(0, 6, 400)
ALONE = np.arange(400)


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


def test_duplicates_count_as_one_observation():
    values = np.repeat(RNG.normal(size=100), 4)
    together = bootstrap(mean_of(values), np.repeat(np.arange(100), 4))
    apart = bootstrap(mean_of(values), ALONE)
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(2, rel=0.2)


def test_the_same_seed_gives_the_same_interval():
    assert bootstrap(mean_of(LABELS), ALONE) == bootstrap(mean_of(LABELS), ALONE)


def test_one_cluster_has_no_interval():
    assert np.isnan(bootstrap(mean_of(np.ones(3)), np.zeros(3)).low)


def test_a_paired_difference_is_surer_than_two_intervals():
    errors = RNG.normal(size=400)
    worse = errors + 0.1 + 0.01 * RNG.normal(size=400)
    found = bootstrap(difference(mean_of(errors), mean_of(worse)), ALONE)
    assert found.value == pytest.approx(0.1, abs=0.01)
    assert 0 < found.low < found.high < 0.12
    alone = bootstrap(mean_of(worse), ALONE)
    assert found.high - found.low < 0.1 * (alone.high - alone.low)
