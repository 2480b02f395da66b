"""Faces in a picture: what any detector is to the rest, and OpenCV's YuNet.

Another detector is one class with a method ``detect``; boxes alone will do:

>>> class Mine:
...     def detect(self, image):
...         return [Detection((left, top, right, bottom), score) for left, top, right, bottom, score in find(image)]
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.crops import Square, square_from_box, square_from_landmarks
from smart_retail.errors import ConfigError, one_line
from smart_retail.files import cache_folder, write_aside

YUNET = "yunet"
YUNET_FILE = "face_detection_yunet_2023mar.onnx"
YUNET_URL = f"https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/{YUNET_FILE}"
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
YUNET_BYTES = 232_589
DOWNLOAD_SECONDS = 30
MIN_PX = 64
PHOTO_PX = 1280
"""Longest side to which photos are shrunk for the detection. Of faces whose square has 24 px there YuNet finds 99% and
is sure of 89%, at 16 px of 96 and 60%, at 12 px of 81 and 3%: ``docs/watch.md``."""
SILENT, ERRORS = 0, 2
"""Levels of what OpenCV prints."""

Point = tuple[float, float]


class Landmarks(NamedTuple):
    """The centres of the eyes and of the mouth, x and y in pixels; which eye is which does not matter."""

    left_eye: Point
    right_eye: Point
    mouth: Point


class Detection(NamedTuple):
    """One face of a picture.

    Attributes:
        box: left, top, right, bottom in pixels; it may reach beyond the picture.
        score: how sure the detector is, from 0 to 1.
        landmarks: None from a detector that finds boxes alone.
    """

    box: tuple[float, float, float, float]
    score: float = 1.0
    landmarks: Landmarks | None = None

    def square(self, contract: Contract) -> Square:
        """Return where the contract cuts this face: by its landmarks, else around its box.

        Raises:
            ConfigError: it has no extent, or is nowhere.
        """
        if self.landmarks is None:
            square = square_from_box(*self.box)
        else:
            left, right, mouth = map(np.asarray, self.landmarks)
            square = square_from_landmarks(left, right, mouth, contract)
        if not (np.isfinite(square).all() and square.side > 0):
            raise ConfigError(f"a face of side {square.side} px cannot be cut out")
        return square


class Detector(Protocol):
    """Whatever finds faces."""

    def detect(self, image: np.ndarray, /) -> Sequence[Detection]:
        """Return the faces of an (H, W, 3) uint8 RGB picture, the surest first."""


def open_detector(detector: str | Path | Detector, *, min_score: float = 0.8, size: int = PHOTO_PX) -> Detector:
    """Return a detector as it is, or open the one that a name or a file stands for.

    Args:
        detector: ``yunet``, a YuNet model file, or a detector.
        min_score: from which a face counts; a detector that is given decides itself.
        size: longest side to which larger pictures are shrunk; a detector that is given decides itself.

    Raises:
        ConfigError: it cannot be opened, or the size is none.
    """
    return FaceDetector(detector, min_score=min_score, size=size) if isinstance(detector, str | Path) else detector


class FaceDetector:
    """YuNet, by OpenCV: boxes and landmarks."""

    def __init__(self, model: str | Path = YUNET, *, min_score: float = 0.8, size: int = PHOTO_PX) -> None:
        """Open the model.

        Args:
            model: ``yunet``, which is downloaded once, or a ``face_detection_yunet_*.onnx`` of OpenCV's model zoo.
            min_score: from which a face counts, from 0 to 1.
            size: longest side in pixels to which larger pictures are shrunk before it looks. Its time grows with the
                square, and small faces are lost below, see ``PHOTO_PX``.

        Raises:
            ConfigError: the file is missing or no such model, or cannot be downloaded, or the size is none.
        """
        if size < MIN_PX:
            raise ConfigError(f"--detector_size {size} must be {MIN_PX} px or more")
        self.model, self.min_score, self.size = model, min_score, size
        path = yunet_file() if str(model) == YUNET else Path(model)
        if not path.is_file():
            raise ConfigError(f"--detector {model}: no such file; {YUNET} stands for the one of OpenCV's model zoo")
        try:
            with opencv_tells(ERRORS):  # OpenCV 5 prints that its new engine knows no targets, which nobody asked for
                self.network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score)
        except cv2.error as error:
            raise ConfigError(f"--detector {model} is no YuNet model: {str(error.err)[:120]}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        """Open the model again where it is unpickled."""
        return _reopened, (self.model, self.min_score, self.size)

    def detect(self, image: np.ndarray, /) -> list[Detection]:
        """Return the faces of an (H, W, 3) uint8 RGB picture, the surest first."""
        height, width = image.shape[:2]
        scale = min(1.0, self.size / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        self.network.setInputSize(size)
        _, rows = self.network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        found = [to_detection(row, scale) for row in rows] if rows is not None else []
        return sorted(found, key=lambda face: -face.score)


def to_detection(row: np.ndarray, scale: float) -> Detection:
    """Read one (15,) row of YuNet: left, top, width, height; eyes, nose, corners of the mouth; score.

    Args:
        row: in pixels of the picture that the detector saw.
        scale: of that picture, by the original.
    """
    left, top, width, height = map(float, np.asarray(row[:4], np.float64) / scale)
    eye, other, _, corner, opposite = np.asarray(row[4:14], np.float64).reshape(5, 2) / scale
    points = [(float(x), float(y)) for x, y in (eye, other, (corner + opposite) / 2)]
    # Eyes in one point give no square.
    landmarks = Landmarks(*points) if points[0] != points[1] else None
    return Detection((left, top, left + width, top + height), float(row[14]), landmarks)


def yunet_file() -> Path:
    """Return YuNet's file in the cache folder, downloaded unless it lies there.

    Raises:
        ConfigError: it can be neither found nor downloaded.
    """
    from urllib.request import urlopen  # slow to import, and needed once

    path = cache_folder(make=False) / YUNET_FILE
    try:
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == YUNET_SHA256:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)  # whoever has no network copies the file there
        with urlopen(YUNET_URL, timeout=DOWNLOAD_SECONDS) as answer:
            content = answer.read(2 * YUNET_BYTES)
        if hashlib.sha256(content).hexdigest() != YUNET_SHA256:
            raise OSError(f"{len(content):,} bytes with another SHA-256 came")
        with write_aside(path) as aside:
            aside.write_bytes(content)
    except OSError as error:
        raise ConfigError(
            f"--detector {YUNET}: {path} is missing or altered, and downloading it failed ({one_line(error)}); save "
            f"{YUNET_URL} there ({YUNET_BYTES:,} bytes, SHA-256 {YUNET_SHA256}), or name your copy: --detector FILE"
        ) from error
    return path


@contextmanager
def opencv_tells(level: int) -> Iterator[None]:
    """Let OpenCV print nothing that matters less than ``level``, one of its own."""
    log = getattr(cv2.utils, "logging", cv2)  # 4.12 has it at the top, 5.0 below alone
    before = log.setLogLevel(level)
    try:
        yield
    finally:
        log.setLogLevel(before)


def _reopened(model: str | Path, min_score: float, size: int) -> FaceDetector:
    return FaceDetector(model, min_score=min_score, size=size)
