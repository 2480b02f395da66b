"""Is the network as often right as it is sure? Reliability, and what one temperature would mend.

Temperatures are fitted on one half of the faces and judged on the other, and the other way round, with
clusters of duplicates kept together: no face judges a temperature that it helped to choose.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm

from smart_retail.edge.calibration import MIN_LABELS, calibration_error, fit_temperature, tempered
from smart_retail.evaluation.metrics import labelled
from smart_retail.evaluation.predictions import probability_columns, tasks_of_table
from smart_retail.tasks import Task

RELIABILITY_BINS = 10
COVERAGE = 0.8
"""Share of faces whose age an interval is to contain."""


def with_confidence(faces: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return the faces with a label and a stated deviation, or probabilities; classes alone are none."""
    known = labelled(faces, task)
    if not task.is_classes:
        return known[known[f"{task.name}_std"] > 0]
    return known[:0] if known[probability_columns(task)].isin([0, 1]).all(axis=None) else known


def reliability(faces: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return by bin of confidence: ``confidence``, ``accuracy`` with ``low`` and ``high`` (Wilson), ``faces``."""
    known = with_confidence(faces, task)
    probabilities = known[probability_columns(task)].to_numpy()
    sure, right = probabilities.max(axis=1, initial=0), probabilities.argmax(axis=1) == known[task.name].to_numpy()
    bins = np.minimum((sure * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    rows = []
    for _, inside in pd.DataFrame({"sure": sure, "right": right}).groupby(bins):
        interval = binomtest(int(inside["right"].sum()), len(inside)).proportion_ci(method="wilson")
        rows.append((inside["sure"].mean(), inside["right"].mean(), interval.low, interval.high, len(inside)))
    return pd.DataFrame(rows, columns=["confidence", "accuracy", "low", "high", "faces"])


def calibration(faces: pd.DataFrame) -> pd.DataFrame:
    """Return by task: ``error``, ``temperature`` that would mend it, ``error_after``, ``surplus``, ``faces``.

    For the classes the error is the expected calibration error, the temperature the mean of both halves',
    and ``surplus`` by how much the network is on average surer than right. For years the error is the
    coverage of 80% intervals by the deviation that the network states, and the ``temperature`` the factor
    by which the deviation must grow.
    """
    rows = []
    for task in sorted(tasks_of_table(faces), key=lambda task: not task.is_classes):
        known = with_confidence(faces, task)
        if len(known) >= 2 * MIN_LABELS:
            halves, measure = (_half(known), ~_half(known)), _of_classes if task.is_classes else _of_years
            rows.append((task.name, *measure(known, task, halves), len(known)))
    return pd.DataFrame(rows, columns=["task", "error", "temperature", "error_after", "surplus", "faces"])


def _of_classes(known: pd.DataFrame, task: Task, halves: tuple[np.ndarray, np.ndarray]) -> tuple[float, ...]:
    probabilities, labels = known[probability_columns(task)].to_numpy(), known[task.name].to_numpy(int)
    temperatures = [fit_temperature(probabilities[half], labels[half]) for half in halves]
    after = probabilities.copy()
    for half, temperature in zip(halves[::-1], temperatures, strict=True):
        after[half] = tempered(probabilities[half], temperature)
    surplus = float(probabilities.max(axis=1).mean() - (probabilities.argmax(axis=1) == labels).mean())
    errors = calibration_error(probabilities, labels), calibration_error(after, labels)
    return errors[0], float(np.mean(temperatures)), errors[1], surplus


def _of_years(known: pd.DataFrame, task: Task, halves: tuple[np.ndarray, np.ndarray]) -> tuple[float, ...]:
    ratio = ((known[f"{task.name}_pred"] - known[task.name]).abs() / known[f"{task.name}_std"]).to_numpy()
    width = float(norm.ppf((1 + COVERAGE) / 2))
    scales = [float(np.quantile(ratio[half], COVERAGE)) / width for half in halves]
    covered = np.where(halves[0], ratio <= scales[1] * width, ratio <= scales[0] * width)
    return float((ratio <= width).mean()), float(np.mean(scales)), float(covered.mean()), np.nan


def _half(faces: pd.DataFrame) -> np.ndarray:
    """Return (N,) bool: a random half of the clusters."""
    names, group = np.unique(faces["cluster"].to_numpy(), return_inverse=True)
    return np.asarray(np.random.default_rng(0).permutation(len(names))[group] % 2 == 0)
