"""Is the network as often right as it is sure? Reliability, and what one temperature would mend.

Temperatures are fitted on one half of the faces and judged on the other, and the other way round, with
clusters of duplicates kept together: no face judges a temperature that it helped to choose.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm

from smart_retail.edge.calibration import MIN_LABELS, calibration_error, fit_temperature, tempered
from smart_retail.evaluation.metrics import Question, answered
from smart_retail.evaluation.predictions import probability_columns, tasks_of_table
from smart_retail.tasks import Task

RELIABILITY_BINS = 10
COVERAGE = 0.8
"""Share of faces whose age an interval is to contain."""


def confident(faces: pd.DataFrame, task: Task) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Return probabilities (N, C), class numbers (N,), and the faces that have both.

    Nothing from someone who gives classes without probabilities.
    """
    known = answered(faces, Question(task, task.name))
    said = known[probability_columns(task)].to_numpy()
    if ((said == 0) | (said == 1)).all():
        known, said = known[:0], said[:0]
    return said, known[task.name].to_numpy(int), known


def reliability(faces: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return by bin of confidence: ``confidence``, ``accuracy`` with ``low`` and ``high`` (Wilson), ``faces``."""
    said, labels, _ = confident(faces, task)
    sure, right = said.max(axis=1, initial=0), said.argmax(axis=1) == labels if len(said) else np.zeros(0, bool)
    place = np.minimum((sure * RELIABILITY_BINS).astype(int), RELIABILITY_BINS - 1)
    rows = []
    for number in np.unique(place):
        inside = place == number
        hits, count = int(right[inside].sum()), int(inside.sum())
        interval = binomtest(hits, count).proportion_ci(method="wilson")
        rows.append((sure[inside].mean(), hits / count, interval.low, interval.high, count))
    return pd.DataFrame(rows, columns=["confidence", "accuracy", "low", "high", "faces"])


def calibration(faces: pd.DataFrame) -> pd.DataFrame:
    """Return by task: ``error``, ``temperature`` that would mend it, ``error_after``, ``faces``, ``surplus``.

    For the classes the error is the expected calibration error, the temperature the mean of both halves',
    and ``surplus`` by how much the network is on average surer than right. For years the error is the
    coverage of 80% intervals by the deviation that the network states, and the ``temperature`` the factor
    by which the deviation must grow.
    """
    rows = []
    tasks = tasks_of_table(faces)
    for task in (task for task in tasks if task.is_classes):
        said, labels, known = confident(faces, task)
        if len(labels) < 2 * MIN_LABELS:
            continue
        first = _half(known)
        powers = [fit_temperature(said[half], labels[half]) for half in (first, ~first)]
        after = said.copy()
        for half, power in zip((~first, first), powers, strict=True):
            after[half] = tempered(said[half], power)
        errors = calibration_error(said, labels), calibration_error(after, labels)
        surplus = float(said.max(axis=1).mean() - (said.argmax(axis=1) == labels).mean())
        rows.append((task.name, errors[0], float(np.mean(powers)), errors[1], len(labels), surplus))
    for task in (task for task in tasks if not task.is_classes):
        known = answered(faces, Question(task, task.name))
        stated = known[f"{task.name}_std"]
        known, stated = known[stated > 0], stated[stated > 0]
        if len(known) < 2 * MIN_LABELS:
            continue
        first = _half(known)
        ratio = ((known[f"{task.name}_pred"] - known[task.name]).abs() / stated).to_numpy()
        width = float(norm.ppf((1 + COVERAGE) / 2))
        scales = [float(np.quantile(ratio[half], COVERAGE)) / width for half in (first, ~first)]
        covered = np.where(first, ratio <= scales[1] * width, ratio <= scales[0] * width)
        errors = float((ratio <= width).mean()), float(covered.mean())
        rows.append((task.name, errors[0], float(np.mean(scales)), errors[1], len(known), np.nan))
    return pd.DataFrame(rows, columns=["task", "error", "temperature", "error_after", "faces", "surplus"])


def _half(faces: pd.DataFrame) -> np.ndarray:
    """Return (N,) bool: a random half of the clusters."""
    names, group = np.unique(faces["cluster"].to_numpy(), return_inverse=True)
    return np.asarray(np.random.default_rng(0).permutation(len(names))[group] % 2 == 0)
