"""What is watched: opening it by its name, and live sources, which never lag: the latest frame wins."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2

from smart_retail.data.image_files import look
from smart_retail.edge.frames import Folder, Frame, Pace, Source, Video, open_capture, shown
from smart_retail.errors import ConfigError

TICK_SECONDS = 0.25
"""Longest wait for a frame before the caller hears that there is none."""
FIRST_WAIT_SECONDS, MAX_WAIT_SECONDS = 1.0, 30.0
"""Between attempts to open a source that broke off; each wait is twice the one before."""


def open_source(source: str | int | Path | Source, *, max_fps: float | None = None) -> Source:
    """Open a camera's number, a device, a stream's address, a video file or a folder of pictures.

    Args:
        source: what to open; one that is opened already comes back as it is.
        max_fps: frames a second that are handed on at most; all unless given.

    Raises:
        ConfigError: it is none of these, or cannot be opened.
        DataError: the folder has no picture.
    """
    if not isinstance(source, str | int | Path):
        return source
    name, path, pace = str(source), Path(str(source)), Pace(max_fps)
    if path.is_dir():
        return Folder(path, pace)
    live = is_live(source)
    if not live and not path.is_file():
        raise ConfigError(
            f"{shown(name)}: no such file or folder; a camera is a number (0) or a device, a stream an address "
            "(rtsp://..., http://...)"
        )
    if not live and not look(path):
        raise ConfigError(
            f"{shown(name)} is one picture: smart-retail predict judges it, a folder of frames is watched"
        )
    capture = open_capture(name)
    if capture is None:
        what = "no such camera, or another program holds it" if name.isdecimal() else "it cannot be reached or decoded"
        raise ConfigError(f"{shown(name)} cannot be opened: {what if live else 'no video that OpenCV can decode'}")
    if live and capture.get(cv2.CAP_PROP_FRAME_COUNT) < 1:
        return Live(name, capture, pace)
    return Video(name, capture, pace)  # a file behind an address is a file


def is_live(source: str | int | Path) -> bool:
    """Whether a source is a camera, a device or an address, as far as its name tells."""
    name, path = str(source), Path(str(source))
    return name.isdecimal() or "://" in name or (path.exists() and not path.is_file() and not path.is_dir())


class Live:
    """A camera or stream: a thread reads all that comes, and only the latest frame is handed on."""

    live = True

    def __init__(self, name: str, capture: cv2.VideoCapture, pace: Pace) -> None:
        """Start reading."""
        self.name, self.pace, self.start = shown(name), pace, time.monotonic()
        self.source, self.stopped, self.changed = name, threading.Event(), threading.Condition()
        self.latest: Frame | None = None
        self.told: list[str] = []
        self.thread = threading.Thread(target=self._read, args=(capture,), name=f"frames of {self.name}", daemon=True)
        self.thread.start()

    def __iter__(self) -> Iterator[Frame | str | float]:
        """Yield the latest frame each time, without end; the time when none came within a moment."""
        while not self.stopped.is_set():
            with self.changed:
                self.changed.wait_for(lambda: self.latest or self.told, TICK_SECONDS)
                told, self.told = self.told, []
                frame, self.latest = self.latest, None
            yield from told
            if frame is None:
                yield time.monotonic() - self.start
            elif self.pace.take(frame.seconds):
                yield Frame(cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB), frame.seconds, frame.came)

    def _read(self, capture: cv2.VideoCapture | None) -> None:
        came, wait, lost = 0, FIRST_WAIT_SECONDS, False
        while not self.stopped.is_set():
            good, image = capture.read() if capture is not None else (False, None)
            if good and image is not None:
                came += 1
                with self.changed:
                    self.latest = Frame(image, time.monotonic() - self.start, came)
                    self.changed.notify()
                if lost:
                    self._tell(f"{self.name} is back")
                wait, lost = FIRST_WAIT_SECONDS, False
                continue
            if capture is not None:
                capture.release()
            if not lost:
                self._tell(f"{self.name} broke off after {came} frames; it is opened again and again until it is back")
            lost = True
            self.stopped.wait(wait)
            wait = min(2 * wait, MAX_WAIT_SECONDS)
            capture = None if self.stopped.is_set() else open_capture(self.source)
        if capture is not None:
            capture.release()

    def _tell(self, message: str) -> None:
        with self.changed:
            self.told.append(message)
            self.changed.notify()

    def close(self) -> None:
        """Stop reading and let go of the camera; a read that hangs ends with the process."""
        self.stopped.set()
        self.thread.join(timeout=2)
