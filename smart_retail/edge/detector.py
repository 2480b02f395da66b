"""Faces in a picture, by OpenCV's FaceDetectorYN and a model file that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.crops import Square, square_from_landmarks
from smart_retail.errors import ConfigError

LONGEST = 1280
"""Larger pictures are shrunk for the detection; faces below about 10 px there are missed."""


class Detection(NamedTuple):
    """One face in pixels of the picture: (2,) points and a score from 0 to 1."""

    first_eye: np.ndarray
    second_eye: np.ndarray
    mouth: np.ndarray
    score: float

    def square(self, contract: Contract) -> Square:
        """Return where the contract cuts this face."""
        return square_from_landmarks(self.first_eye, self.second_eye, self.mouth, contract)


class FaceDetector:
    """YuNet, from a ``face_detection_yunet_*.onnx`` of OpenCV's model zoo."""

    def __init__(self, model: str | Path, *, score: float = 0.8) -> None:
        """Open the model.

        Args:
            model: its file.
            score: from which a face counts.

        Raises:
            ConfigError: the file is missing or no such model.
        """
        if not Path(model).is_file():
            raise ConfigError(f"--detector {model}: no such file; a YuNet model of OpenCV's zoo is needed")
        try:
            self.detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), score)
        except cv2.error as error:
            raise ConfigError(f"--detector {model} is no YuNet model: {str(error.err)[:120]}") from error

    def detect(self, image: np.ndarray) -> list[Detection]:
        """Return the faces of an (H, W, 3) uint8 RGB picture, the surest first."""
        height, width = image.shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        self.detector.setInputSize(size)
        _, rows = self.detector.detect(cv2.resize(bgr, size, interpolation=cv2.INTER_AREA) if scale < 1 else bgr)
        found = [to_detection(row, scale) for row in rows] if rows is not None else []
        return sorted((d for d in found if d.first_eye.tolist() != d.second_eye.tolist()), key=lambda d: -d.score)


def to_detection(row: np.ndarray, scale: float) -> Detection:
    """Read one (15,) row of YuNet: box, eyes, nose, corners of the mouth, score."""
    points = np.asarray(row[4:14], np.float64).reshape(5, 2) / scale
    return Detection(points[0], points[1], (points[3] + points[4]) / 2, float(row[14]))
