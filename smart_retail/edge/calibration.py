"""Probabilities that are as sure as they are right: one temperature a task (Guo et al. 2017, ICML).

Fitted on faces that the network was not trained on. Dividing logits by a temperature changes no
decision, only how sure it sounds. The Predictor imports this file: NumPy alone at its top.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from smart_retail.errors import BundleError
from smart_retail.tasks import Task

MIN_LABELS = 100
"""Labels below which no temperature is fitted."""
BINS = 15
"""Of confidence, as in Guo et al."""
LOG_LIMIT = 2.0
"""A temperature lies between exp(-2) and exp(2)."""
MIN_PROBABILITY = 1e-12


def tempered(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return (N, C) probabilities as they are after dividing their logits by a temperature."""
    if temperature == 1:
        return probabilities
    powers = np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature
    powers = np.exp(powers - powers.max(axis=1, keepdims=True))
    return np.asarray((powers / powers.sum(axis=1, keepdims=True)).astype(probabilities.dtype))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return (N, C) probabilities of (N, C) logits."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean negative log likelihood of (N,) class numbers under (N, C) probabilities."""
    of_label = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(of_label, MIN_PROBABILITY)).mean())


def temperatures(calibration: Any, tasks: Iterable[Task]) -> dict[str, float]:
    """Return the temperature of each task of classes from a manifest's ``calibration``; 1 where it has none.

    Raises:
        BundleError: one is no positive number.
    """
    found = {}
    for task in (task.name for task in tasks if task.is_classes):
        try:
            value = float(calibration.get(task, {}).get("temperature", 1.0))
        except (AttributeError, TypeError, ValueError):
            value = float("nan")
        if not 0 < value < float("inf"):
            raise BundleError(f"the manifest's calibration of {task} is no temperature: {str(calibration)[:80]}")
        found[task] = value
    return found


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature with the least log loss.

    Args:
        probabilities: (N, C).
        labels: (N,) class numbers.
    """
    from scipy.optimize import minimize_scalar

    wide = probabilities.astype(np.float64)
    found = minimize_scalar(
        lambda power: log_loss(tempered(wide, float(np.exp(power))), labels),
        bounds=(-LOG_LIMIT, LOG_LIMIT),
        method="bounded",
    )
    return float(np.exp(found.x))


def calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the expected calibration error: mean gap between confidence and accuracy over ``BINS`` bins."""
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    predicted, true = torch.from_numpy(probabilities.astype(np.float64)), torch.from_numpy(labels.astype(np.int64))
    return float(multiclass_calibration_error(predicted, true, probabilities.shape[1], n_bins=BINS))


def calibrate(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return what a manifest keeps of one task: ``temperature``, ``faces``, and the error before and after.

    Args:
        probabilities: (N, C).
        labels: (N,) class numbers, NaN where there is none.

    Returns:
        Empty with fewer than ``MIN_LABELS`` labels.
    """
    known = ~np.isnan(labels) & np.isfinite(probabilities).all(axis=1)
    if known.sum() < MIN_LABELS:
        return {}
    probabilities, classes = probabilities[known], labels[known].astype(np.int64)
    temperature = fit_temperature(probabilities, classes)
    after = tempered(probabilities, temperature)
    return {
        "temperature": temperature,
        "faces": int(known.sum()),
        "error_before": calibration_error(probabilities, classes),
        "error_after": calibration_error(after, classes),
    }
