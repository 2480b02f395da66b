"""Frames of a video file or a folder of pictures, every one of them; ``source`` has those of cameras and streams."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from smart_retail.data.image_files import look
from smart_retail.data.images import read_image
from smart_retail.edge.detector import SILENT, opencv_tells
from smart_retail.errors import BrokenImageError, ConfigError, DataError, printable

TIMEOUT_MS = 10_000
"""After which a stream that sends nothing has broken off."""
FOLDER_RATE = 25.0
ALMOST_ALL = 0.95
"""Of the frames that a file promises; containers count inexactly."""


@dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        seconds: since the start: of the video itself, or on the clock for a live source.
        came: frames so far, with those that nobody took.
    """

    image: np.ndarray
    seconds: float
    came: int


class Source(Protocol):
    """Where frames come from. ``live``: its time is the clock's, and it never ends by itself."""

    live: bool

    def __iter__(self) -> Iterator[Frame | str | float]:
        """Yield frames, what there is to tell, and the time in seconds where a live source has nothing new."""

    def close(self) -> None:
        """Let go of the camera or file."""


def open_capture(name: str) -> cv2.VideoCapture | None:
    """Open a camera's number, a device, an address or a file, without a word on the terminal; None if it cannot be."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    try:
        with opencv_tells(SILENT):
            if name.isdecimal():
                capture = cv2.VideoCapture(int(name))
            elif "://" in name:
                limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
                capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, limits)
            else:
                capture = cv2.VideoCapture(name)
    except cv2.error:
        return None
    return capture if capture.isOpened() else None


def shown(name: str) -> str:
    """Return a source's name fit for messages: a camera's address may hold a password."""
    return printable(re.sub(r"//[^/@]*@", "//...@", name))


class Pace:
    """Which frames are due, so that no more than so many a second are taken."""

    def __init__(self, max_fps: float | None) -> None:
        """Set the limit; None for none.

        Raises:
            ConfigError: it is not above 0.
        """
        if max_fps is not None and not max_fps > 0:
            raise ConfigError(f"--max_fps {max_fps} must be above 0")
        self.step, self.due = 1 / max_fps if max_fps else 0.0, 0.0

    def take(self, seconds: float) -> bool:
        """Return whether a frame of this time is due, and take it then."""
        if seconds < self.due - 1e-3:  # a timestamp is rounded
            return False
        self.due = max(self.due + self.step, seconds)
        return True


class Video:
    """A file: every frame that is due, however long each takes."""

    live = False

    def __init__(self, name: str, capture: cv2.VideoCapture, pace: Pace) -> None:
        """Take an opened file."""
        self.name, self.capture, self.pace = shown(name), capture, pace

    def __iter__(self) -> Iterator[Frame | str | float]:
        """Yield its frames; a file that ends before it should is told of."""
        rate, count = self.capture.get(cv2.CAP_PROP_FPS), self.capture.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = rate if 0 < rate < 1000 else FOLDER_RATE
        came, seconds = 0, 0.0
        while self.capture.grab():
            # Time by the container where it tells any: frames may be unevenly spaced.
            told = self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            seconds = max(seconds, told if told > 0 else came / rate)
            came += 1
            if self.pace.take(seconds):
                good, image = self.capture.retrieve()
                if good and image is not None:
                    yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), seconds, came)
        if not came:
            raise DataError(f"{self.name}: no frame of it can be decoded")
        if came < ALMOST_ALL * count:
            yield f"{self.name} ended after {came} of {count:.0f} frames: it is cut off or damaged"

    def close(self) -> None:
        """Close the file."""
        self.capture.release()


class Folder:
    """Pictures in the order of their names, numbers by their value, 25 a second."""

    live = False

    def __init__(self, path: Path, pace: Pace) -> None:
        """List the pictures.

        Raises:
            DataError: there is none.
        """
        self.files = sorted((p for p in path.iterdir() if not p.is_dir() and not look(p)), key=_by_number)
        self.pace = pace
        if not self.files:
            raise DataError(f"{printable(str(path))}: no picture in this folder")

    def __iter__(self) -> Iterator[Frame | str | float]:
        """Yield the pictures; one that cannot be read is told of."""
        for number, file in enumerate(self.files):
            if self.pace.take(number / FOLDER_RATE):
                try:
                    yield Frame(read_image(file), number / FOLDER_RATE, number + 1)
                except BrokenImageError as error:
                    yield f"left out: {printable(str(error))}"

    def close(self) -> None:
        """Nothing is open."""


def _by_number(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
