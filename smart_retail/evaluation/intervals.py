"""Metrics with bootstrap intervals that resample clusters of duplicates, not single faces.

A face and its duplicate are one observation: resampling them apart would make intervals too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95
Statistic = Callable[[np.ndarray], np.ndarray]
"""(R, N) weights of N faces in R resamples to (R,) values; NaN where undefined."""


class Interval(NamedTuple):
    """A value, its 95% interval, and the number of faces behind it."""

    value: float
    low: float
    high: float
    faces: int


def bootstrap(statistic: Statistic, clusters: np.ndarray) -> Interval:
    """Return a statistic of faces in (N,) clusters, drawn as a whole with replacement, with its percentile interval."""
    names, group = np.unique(clusters, return_inverse=True)
    value = float(statistic(np.ones((1, len(clusters))))[0]) if len(names) else np.nan
    if len(names) < 2:
        return Interval(value, np.nan, np.nan, len(clusters))
    values = statistic(_draws(len(names))[:, group])
    low, high = np.nanquantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, float(low), float(high), len(clusters))


@lru_cache(maxsize=1)
def _draws(count: int) -> np.ndarray:
    """Return (R, C) how often each cluster is drawn; kept, since all metrics of some faces draw the same."""
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return draws.astype(np.float32)


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Return the second minus the first, of the same faces in the same resamples."""
    return lambda weights: second(weights) - first(weights)


def mean_of(values: np.ndarray) -> Statistic:
    """Return the weighted mean of (N,) values: an accuracy, a mean error, a bias."""
    return lambda weights: (weights @ values) / weights.sum(1)


def mean_within(values: np.ndarray, inside: np.ndarray) -> Statistic:
    """Return the weighted mean of those of (N,) values that are (N,) ``inside``."""
    return lambda weights: (weights @ (values * inside)) / _positive(weights @ inside)


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Return the mean recall over the classes that occur; (N,) class numbers."""
    recalls = [mean_within(labels == predicted, labels == c) for c in np.unique(labels)]
    return lambda weights: np.asarray(np.nanmean([recall(weights) for recall in recalls], axis=0))


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> Statistic:
    """Return the mean F1 over all classes that are a label or predicted; (N,) class numbers."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        scores = []
        for c in range(classes):
            hits = weights @ ((labels == c) & (predicted == c))
            scores.append(2 * hits / _positive(weights @ (labels == c) + weights @ (predicted == c)))
        return np.asarray(np.nanmean(scores, axis=0))

    return statistic


def _positive(totals: np.ndarray) -> np.ndarray:
    """Return totals with NaN for zero, so that a class that a resample lacks is left out."""
    return np.where(totals > 0, totals, np.nan)
