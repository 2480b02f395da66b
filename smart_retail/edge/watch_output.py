"""Where a count goes: a CSV that outlives a full disk, a window, a video. Pictures only when they are asked for."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from smart_retail.data.crops import Square
from smart_retail.edge.annotate import COLOUR, lines, write
from smart_retail.edge.watch_events import FrameEvent, WindowEvent
from smart_retail.errors import ConfigError, one_line

RECORD_FPS = 25
CODECS = {".mp4": "mp4v", ".avi": "MJPG"}
MIN_FREE_BYTES = 64 << 20
"""A video writer does not tell of a full disk: recording ends before."""
SHOWN_PX = 1280
BLUR_WIDTH, BLUR_CELLS = 1.4, 6
"""A face is covered by so many cells a side, one and a half times as wide as the network's crop."""
GREY = (160, 160, 160)


class WindowTable:
    """A CSV with a row for each group of each window, appended as the windows end.

    Rows that cannot be written (the disk is full, the stick was pulled out) wait in memory and are tried again with
    the next window; none is ever written in half.
    """

    def __init__(self, path: Path, tasks: Iterable[str]) -> None:
        """Begin the file, or go on with it.

        Raises:
            ConfigError: it cannot be written, or has other columns.
        """
        self.path, self.waiting, self.failed = path, b"", False
        self.header = _line(("from", "to", "watched", *tasks, "visitors"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():  # a pipe would wait for its reader
                raise ConfigError(f"--csv {path} cannot be written: it is no ordinary file")
            with path.open("ab"), path.open("rb") as file:
                if (first := file.readline()) not in (b"", self.header):
                    have = first.decode(errors="replace").strip()
                    ours = self.header.decode().strip()
                    raise ConfigError(f"--csv {path} has the columns {have[:200]}, not {ours}; name another file")
        except OSError as error:
            raise ConfigError(f"--csv {path} cannot be written: {error.strerror}") from error

    def add(self, window: WindowEvent) -> str | None:
        """Append a window; return what there is to tell when writing fails or works again."""
        span = (window.start, window.end, f"{window.watched:.0f}")
        # A window without visitors has a row as well: nobody came, which is not the same as nobody looked.
        groups = sorted(window.visitors.items()) or [(("",) * len(window.tasks), 0)]
        self.waiting += b"".join(_line((*span, *group, count)) for group, count in groups)
        try:
            _append(self.path, self.waiting, self.header)
        except OSError as error:
            failed, self.failed = self.failed, True
            return None if failed else f"{self.path}: {error.strerror}; the count goes on, and its rows wait for room"
        failed, self.failed, self.waiting = self.failed, False, b""
        return f"{self.path}: the rows that waited are written" if failed else None

    def lost(self) -> str | None:
        """Return what to tell at the end of rows that could not be written, with the rows themselves."""
        if not self.waiting:
            return None
        return f"{self.path} lacks these rows, which could not be written:\n{(self.header + self.waiting).decode()}"


def _line(cells: Iterable[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _append(path: Path, rows: bytes, header: bytes) -> None:
    """Append rows whole or not at all; a file that somebody moved away is begun again."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        content = memoryview(rows if before else header + rows)
        try:
            while content:
                content = content[file.write(content) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(before)
            raise


def drawn(event: FrameEvent, *, blur: bool) -> np.ndarray:
    """Return a copy of a frame with a square around each face, what was said of it, or why it was not judged.

    Args:
        event: the frame.
        blur: cover every face, also where one is only expected.
    """
    image = event.image.copy()
    if blur:
        for square in (*(face.square for face in event.faces), *event.hidden):
            _cover(image, square)
    texts = [
        [face.reason] if face.reason else lines(face.prediction) if face.prediction else [] for face in event.faces
    ]
    colours = [GREY if face.reason else COLOUR for face in event.faces]
    write(image, [face.square for face in event.faces], texts, colours)
    return image


def _cover(image: np.ndarray, square: Square) -> None:
    """Replace a face by a few large cells, in place."""
    half = BLUR_WIDTH * square.side / 2
    height, width = image.shape[:2]
    left, right = (int(min(max(at, 0), width)) for at in (square.x - half, square.x + half))
    top, bottom = (int(min(max(at, 0), height)) for at in (square.y - half, square.y + half))
    if right > left and bottom > top:
        part = image[top:bottom, left:right]
        cells = cv2.resize(part, (BLUR_CELLS, BLUR_CELLS), interpolation=cv2.INTER_AREA)
        image[top:bottom, left:right] = cv2.resize(cells, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)


class Recorder:
    """Writes drawn frames as a video that runs as fast as the time did."""

    def __init__(self, path: Path) -> None:
        """Check the ending.

        Raises:
            ConfigError: no codec for it is known.
        """
        if path.suffix not in CODECS:
            raise ConfigError(f"--record {path} must end in {' or '.join(CODECS)}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.size, self.until = path, (0, 0), 0.0
        self.writer: cv2.VideoWriter | None = None

    def add(self, image: np.ndarray, seconds: float) -> str | None:
        """Append an (H, W, 3) uint8 RGB frame; return why recording has ended, the one time when it does."""
        if self.size == (0, 0):
            self.size, self.until = image.shape[1::-1], seconds
            self.writer = cv2.VideoWriter(
                str(self.path), cv2.VideoWriter.fourcc(*CODECS[self.path.suffix]), RECORD_FPS, self.size
            )
        if self.writer is None:
            return None
        if not self.writer.isOpened() or shutil.disk_usage(self.path.parent).free < MIN_FREE_BYTES:
            self.close()
            return f"{self.path}: recording has ended, the disk is full or cannot be written; the count goes on"
        # A frame stands until the next: at most a second, since nobody wants to see a source that is away.
        self.until = max(self.until, seconds - 1)
        same = image if image.shape[1::-1] == self.size else cv2.resize(image, self.size)
        bgr = cv2.cvtColor(same, cv2.COLOR_RGB2BGR)
        while self.until <= seconds:
            self.writer.write(bgr)
            self.until += 1 / RECORD_FPS
        return None

    def close(self) -> None:
        """Finish the file."""
        if self.writer is not None:
            self.writer.release()
        self.writer = None


class Screen:
    """A window, by Tk: OpenCV comes without windows here."""

    def __init__(self, title: str) -> None:
        """Open it.

        Raises:
            ConfigError: there is no Tk or no screen.
        """
        way_out = "--record FILE.mp4 writes what it would show"
        try:
            import tkinter
        except ImportError as error:
            raise ConfigError(f"--show: there is no Tk (Debian: apt install python3-tk); {way_out}") from error
        try:
            self.root = tkinter.Tk()
        except tkinter.TclError as error:
            raise ConfigError(f"--show: {one_line(error)}; {way_out}") from error
        self.root.title(title)
        self.label = tkinter.Label(self.root)
        self.label.pack()
        self.picture: object = None
        self.closed = False
        for event in ("<q>", "<Escape>"):
            self.root.bind(event, lambda _: self._close())
        self.root.protocol("WM_DELETE_WINDOW", self._close)

    def show(self, image: np.ndarray) -> bool:
        """Show an (H, W, 3) uint8 RGB frame; return whether the window was closed."""
        import tkinter

        scale = min(1.0, SHOWN_PX / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        data = cv2.imencode(".ppm", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1].tobytes()
        self.picture = tkinter.PhotoImage(data=data, format="PPM")  # Tk keeps no reference of its own
        self.label.configure(image=self.picture)
        self.root.update()
        return self.closed

    def _close(self) -> None:
        self.closed = True
