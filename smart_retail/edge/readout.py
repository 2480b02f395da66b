"""From the numbers of a network to predictions: probabilities as sure as they are right, intervals, blank crops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from smart_retail.edge.calibration import softmax, tempered
from smart_retail.edge.manifest import Manifest
from smart_retail.edge.prediction import Attribute, Prediction
from smart_retail.errors import BundleError
from smart_retail.tasks import AGE_MAX, AGE_MIN

MIN_CONTRAST = 8.0
"""Standard deviation of a crop's grey values below which it shows nothing. A wall with a camera's noise has 4; the
least of 7,500 real crops that are no flat tone has 16."""


def calibrated(
    outputs: Mapping[str, np.ndarray], temperatures: Mapping[str, float], form: str
) -> dict[str, np.ndarray]:
    """Return a network's outputs with calibrated probabilities.

    Args:
        outputs: (N, ...) by name.
        temperatures: by task of classes.
        form: of the network's classes, ``probabilities`` or ``logits``.

    Raises:
        BundleError: some are no numbers.
    """
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise BundleError("the network's answers are no numbers: its weights are damaged")
    answers = dict(outputs)
    for task, temperature in temperatures.items():
        values = answers[task] if form == "probabilities" else softmax(answers[task])
        answers[task] = tempered(values, temperature)
    return answers


def to_predictions(answers: Mapping[str, np.ndarray], crops: np.ndarray, manifest: Manifest) -> list[Prediction]:
    """Return a prediction for each crop.

    Args:
        answers: (N, ...) by task, see ``calibrated``.
        crops: (N, S, S, 3) uint8 RGB that they are of.
        manifest: of the network's bundle.
    """
    blanks = [float(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).std()) < MIN_CONTRAST for crop in crops]
    return [
        _to_prediction({name: values[row] for name, values in answers.items()}, manifest, blank)
        for row, blank in enumerate(blanks)
    ]


def _to_prediction(answers: Mapping[str, np.ndarray], manifest: Manifest, blank: bool) -> Prediction:
    found = {}
    for task in manifest.contract.tasks:
        values = answers[task.name]
        if task.is_classes:
            probabilities = dict(zip(task.classes, map(float, values), strict=True))
            found[task.name] = Attribute(task.classes[int(values.argmax())], probabilities, blank=blank)
            continue
        years = min(max(float(values[0]), AGE_MIN), AGE_MAX)
        reach = interval_reach(years, manifest.intervals.get(task.name, {}))
        ends = reach and (max(AGE_MIN, years - reach[0]), min(AGE_MAX, years + reach[1]))
        found[task.name] = Attribute(years, interval=ends, blank=blank)
    return Prediction(found)


def interval_reach(age: float, interval: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return how many years an interval reaches below and above a predicted age; None where it has no band for it.

    Args:
        age: predicted years.
        interval: of a manifest's ``intervals``.
    """
    bands = [band for band in interval.get("bands", []) if band["from"] <= age]
    if not bands:
        return None
    return float(bands[-1]["below"]), float(bands[-1]["above"])
