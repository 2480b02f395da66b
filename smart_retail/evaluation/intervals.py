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


def bootstrap(statistic: Statistic, clusters: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Return a statistic with its percentile interval.

    Args:
        statistic: of weighted faces.
        clusters: (N,) cluster number of each face; drawn as a whole, with replacement.
        seed: of the draws.
        resamples: number of draws.
    """
    _, group = np.unique(clusters, return_inverse=True)
    count = int(group.max()) + 1 if len(group) else 0
    value = float(statistic(np.ones((1, len(clusters))))[0]) if count else float("nan")
    if count < 2:
        return Interval(value, float("nan"), float("nan"), len(clusters))
    values = statistic(_draws(count, seed, resamples)[:, group])
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return Interval(value, float(low), float(high), len(clusters))


def difference(first: Statistic, second: Statistic) -> Statistic:
    """Return the second minus the first, of the same faces in the same resamples."""
    return lambda weights: second(weights) - first(weights)


@lru_cache(maxsize=1)
def _draws(count: int, seed: int, resamples: int) -> np.ndarray:
    """Return (R, C) how often each cluster is drawn; kept, since all metrics of some faces draw the same."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float32)


def mean_of(values: np.ndarray) -> Statistic:
    """Return the weighted mean of (N,) values: an accuracy, a mean error, a bias."""
    return lambda weights: (weights @ values) / weights.sum(1)


def balanced_accuracy(labels: np.ndarray, said: np.ndarray) -> Statistic:
    """Return the mean recall over the classes that occur; (N,) class numbers."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        right = labels == said
        recalls = [(weights @ (right & (labels == c))) / _positive(weights @ (labels == c)) for c in np.unique(labels)]
        return np.asarray(np.nanmean(recalls, axis=0))

    return statistic


def macro_f1(labels: np.ndarray, said: np.ndarray, classes: int) -> Statistic:
    """Return the mean F1 over all classes that are a label or said; (N,) class numbers."""

    def statistic(weights: np.ndarray) -> np.ndarray:
        scores = []
        for c in range(classes):
            hits = weights @ ((labels == c) & (said == c))
            scores.append(2 * hits / _positive(weights @ (labels == c) + weights @ (said == c)))
        return np.asarray(np.nanmean(scores, axis=0))

    return statistic


def _positive(totals: np.ndarray) -> np.ndarray:
    """Return totals with NaN for zero, so that a class that a resample lacks is left out."""
    return np.where(totals > 0, totals, np.nan)
