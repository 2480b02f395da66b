"""Probabilities become as sure as they are right, and decisions stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smart_retail.edge.calibration import calibrate, calibration_error, softmax, tempered
from smart_retail.edge.manifest import PRECISIONS, read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import BundleError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4000, 6)) * 2
LABELS = np.array([RNG.choice(6, p=row) for row in softmax(LOGITS)]).astype(float)
"""Drawn from the probabilities: perfectly calibrated."""


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_applied_is_found_and_undone(temperature: float) -> None:
    said = softmax(LOGITS / temperature)
    found = calibrate(said, LABELS)
    assert found["temperature"] == pytest.approx(1 / temperature, rel=0.05)
    assert found["error_after"] < 0.02
    np.testing.assert_allclose(tempered(said, 1 / temperature), softmax(LOGITS), atol=1e-4)


def test_the_error_of_a_coin_that_is_always_sure_is_a_half() -> None:
    said = np.tile([1.0, 0.0], (1000, 1))
    assert calibration_error(said, np.arange(1000) % 2) == pytest.approx(0.5)


def test_faces_without_a_label_count_not_and_few_give_nothing() -> None:
    labels = LABELS.copy()
    labels[1000:] = np.nan
    assert calibrate(softmax(LOGITS), labels)["faces"] == 1000
    assert calibrate(softmax(LOGITS), np.full(4000, np.nan)) == {}


def calibrated(bundle: Path, calibration: object) -> Predictor:
    manifest = replace(read_manifest(bundle), calibration=calibration)  # type: ignore[arg-type]
    return Predictor(bundle / PRECISIONS["fp32"], manifest)


def test_the_predictor_applies_the_manifests_temperatures(bundle: Path, faces: np.ndarray) -> None:
    plain, warm = calibrated(bundle, {}), calibrated(bundle, {"emotion": {"temperature": 4.0}})
    for before, after in zip(plain.predict_crops(faces), warm.predict_crops(faces), strict=True):
        assert (after.emotion, after.gender_probabilities) == (before.emotion, before.gender_probabilities)
        assert after.emotion_probabilities[after.emotion] < before.emotion_probabilities[before.emotion]


@pytest.mark.parametrize(
    "calibration", [[], {"gender": 2}, {"gender": {"temperature": "x"}}, {"emotion": {"temperature": 0}}]
)
def test_a_calibration_that_is_none_is_refused(bundle: Path, calibration: object) -> None:
    with pytest.raises(BundleError, match="is no temperature"):
        calibrated(bundle, calibration)
