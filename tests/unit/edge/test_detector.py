"""What surrounds the detector; its model file is the user's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smart_retail.contract import Contract
from smart_retail.data.crops import Square, crop_square
from smart_retail.edge.annotate import annotate, lines
from smart_retail.edge.detector import FaceDetector, to_detection
from smart_retail.edge.predictor import Attribute, Prediction
from smart_retail.errors import ConfigError


def test_a_row_becomes_the_contracts_square() -> None:
    row = np.array([0, 0, 9, 9, 33, 40, 67, 40, 50, 60, 40, 76, 60, 76, 0.9]) / 2
    found = to_detection(row, scale=0.5)
    assert found.box == (0, 0, 9, 9)
    assert found.square(Contract()) == pytest.approx((50, 56.2, 100, 0))


def test_a_missing_model_is_named() -> None:
    with pytest.raises(ConfigError, match=r"yunet\.onnx: no such file"):
        FaceDetector("yunet.onnx")


def test_a_file_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(b"none")
    with pytest.raises(ConfigError, match="is no YuNet model"):
        FaceDetector(tmp_path / "yunet.onnx")


SAID = Prediction(
    {
        "gender": Attribute("female", {"female": 1.0}),
        "age": Attribute(30.0, interval=(25.0, 35.0)),
        "emotion": Attribute("happy", {"happy": 1.0}),
    }
)


@pytest.mark.parametrize("angle", [0, 30, -20])
def test_the_square_is_drawn_turned_as_it_was_cut(angle: float) -> None:
    image, square = np.zeros((400, 400, 3), np.uint8), Square(200, 220, 160, angle)
    annotate(image, square, Prediction({"age": Attribute(30.0)}))
    seen = crop_square(image, square._replace(side=200), 200)[..., 1]  # the square is from 20 to 180 in it
    for edge in (20, 180):
        for strip in (seen[edge - 2 : edge + 3, 30:170], seen.T[edge - 2 : edge + 3, 30:170]):
            assert (strip.max(axis=0) > 60).mean() > 0.9  # a line of one pixel, resampled


@pytest.mark.parametrize("size", [8, 64, 2000])
def test_drawing_changes_pictures_of_any_size(size: int) -> None:
    image = np.zeros((size, size, 3), np.uint8)
    annotate(image, Square(size / 2, size / 2, size / 2), SAID)
    assert image.any()


def test_a_face_is_told_in_few_lines_whatever_its_tasks() -> None:
    assert lines(SAID) == ["female 30 (25-35)", "happy"]
    glasses = Attribute("none", {"none": 1.0})
    assert lines(Prediction(SAID.attributes | {"glasses": glasses})) == ["female 30 (25-35)", "happy", "none"]
    assert lines(Prediction({"glasses": glasses})) == ["none"]
