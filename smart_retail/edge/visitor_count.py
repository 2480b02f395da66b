"""The running count: who is in view, the window of time that runs, and the total. Everybody is counted once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from datetime import datetime, timedelta

from smart_retail.edge.frames import Frame
from smart_retail.edge.visitors import UNKNOWN, Visitor, check_bounds, group
from smart_retail.edge.watch_events import Event, VisitorEvent, WindowEvent
from smart_retail.errors import ConfigError
from smart_retail.tasks import Task

PAUSE_SECONDS = 2.0
"""Longer gaps between two frames are time that nobody watched."""


class VisitorCount:
    """Counts visitors by group over windows of time.

    Somebody belongs to the window in which they had been seen well enough, with what was said of them by the end of it,
    or when they left. Who was followed for as many frames and never judged in enough of them is ``unknown``.
    """

    def __init__(self, tasks: Sequence[Task], *, age_groups: Sequence[int], good_frames: int, every: float) -> None:
        """Set what is counted.

        Args:
            tasks: by which groups are made.
            age_groups: ages at which groups begin.
            good_frames: see ``watch``.
            every: seconds of a window.

        Raises:
            ConfigError: a setting makes no sense.
        """
        if not 0 < every < float("inf") or good_frames < 1:
            raise ConfigError(f"--every {every} must be above 0 seconds, --good_frames {good_frames} 1 or more")
        self.tasks, self.bounds = tuple(tasks), check_bounds(age_groups)
        self.good_frames, self.every = good_frames, every
        self.visitors: dict[int, Visitor] = {}
        self.told: set[int] = set()
        self.pending: set[int] = set()
        """In view and counted, and to be added to the window that runs."""
        self.now, self.came, self.left = 0.0, 0, 0
        self.last: float | None = None
        self.spreads: Counter[str] = Counter()

    def begin(self, *, live: bool) -> None:
        """Start the clock; a live source's first window is shorter, so that all others end with the clock's minutes."""
        self.start = datetime.now().astimezone() if live else None
        self.due = self.every - (time.time() % self.every if live else 0.0)
        self.window, self.total = (WindowEvent(kind, self.clock(0.0), "", self.names) for kind in ("window", "end"))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tasks."""
        return tuple(task.name for task in self.tasks)

    def clock(self, seconds: float) -> str:
        """Return a time in words, see ``VisitorEvent.time``."""
        if self.start is not None:
            # Rounded: isoformat cuts off.
            return (self.start + timedelta(seconds=seconds + 0.5)).isoformat(timespec="seconds")
        return f"{int(seconds // 3600):02}:{int(seconds // 60 % 60):02}:{seconds % 60:04.1f}"

    def advance(self, seconds: float) -> Iterator[Event]:
        """Close the windows that are over at a time."""
        while seconds >= self.due:
            self.now = self.due
            yield self._close()
            self.due += self.every
        self.now = max(self.now, seconds)

    def frame(self, frame: Frame) -> None:
        """Count a frame that is looked at."""
        gap = frame.seconds - (frame.seconds if self.last is None else self.last)
        for kept in (self.window, self.total):
            kept.watched += gap if gap <= PAUSE_SECONDS else 0.0
            kept.came += frame.came - self.came
            kept.judged += 1
        self.last, self.came = frame.seconds, frame.came

    def seen(self, number: int, reason: str | None) -> Visitor:
        """Return the visitor of a track who is in view now, and note why they cannot be judged, if so."""
        visitor = self.visitors.setdefault(number, Visitor(number, self.now, self.now))
        visitor.last = self.now
        visitor.bad.update([reason] if reason else [])
        return visitor

    def changed(self, present: Container[int]) -> Iterator[Event]:
        """Tell who arrived, and count those whose track is not among the present ones any more."""
        for visitor in self.visitors.values():
            if visitor.good >= self.good_frames and visitor.number not in self.told:
                self.told.add(visitor.number)
                self.pending.add(visitor.number)
                yield self._event("arrived", visitor)
        for number in [number for number in self.visitors if number not in present]:
            visitor = self.visitors.pop(number)
            if number in self.told:
                self.told.remove(number)
                self.left += 1
                self.spreads.update(visitor.spread)
                if number in self.pending:
                    self._add(visitor)
                yield self._event("left", visitor)
            # What the detector was hardly ever sure of may be no face.
            elif visitor.good + visitor.bad.total() - visitor.bad["unsure"] >= self.good_frames:
                for kept in (self.window, self.total):
                    kept.visitors[(UNKNOWN,) * len(self.tasks)] += 1
                    kept.not_judged.update([visitor.bad.most_common(1)[0][0]])

    def finish(self) -> Iterator[Event]:
        """Close the last window, and tell the total."""
        yield self._close()
        self.total.end = self.clock(self.now)
        self.total.spread = {task: value / self.left for task, value in self.spreads.items()}
        yield self.total

    def _close(self) -> WindowEvent:
        for number in tuple(self.pending):
            self._add(self.visitors[number])
        closed = self.window
        closed.end = self.clock(self.now)
        self.window = WindowEvent("window", closed.end, "", self.names)
        return closed

    def _add(self, visitor: Visitor) -> None:
        self.pending.remove(visitor.number)
        for kept in (self.window, self.total):
            kept.visitors[group(visitor.prediction, self.tasks, self.bounds)] += 1

    def _event(self, kind: str, visitor: Visitor) -> VisitorEvent:
        assert visitor.prediction is not None  # told of after its first good frames
        seconds = visitor.last - visitor.first
        at = self.clock(visitor.last if kind == "left" else self.now)
        return VisitorEvent(kind, at, visitor.number, visitor.prediction, visitor.good, seconds, visitor.spread)
