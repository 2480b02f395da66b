"""Calm answers on video: gender, age and the like settle over a track, emotion follows the face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from smart_retail.data.crops import Square
from smart_retail.edge.prediction import Attribute, Prediction
from smart_retail.errors import ConfigError

PASSING = ("emotion",)
"""How tasks begin whose answers change while a face is in view; others settle."""


@dataclass
class Track:
    """One face over time: its last place, when it was seen, and what was made of it."""

    square: Square
    seen: float
    said: Prediction | None = None
    count: int = 0


class TrackSmoother:
    """Follows faces from frame to frame by overlap and averages what the network says of each.

    What does not change within a track, as gender and age, is a mean over it, with at most
    ``memory`` faces' weight in the past. Expressions do: emotion fades with a half-life.

    Not an identification: a track ends when its face leaves, and nothing of it is kept.
    """

    def __init__(
        self, *, memory: int = 60, emotion_half_life: float = 0.5, overlap: float = 0.3, patience: float = 1.0
    ) -> None:
        """Set the time scales.

        Args:
            memory: faces after which new ones count for a fixed share.
            emotion_half_life: seconds.
            overlap: of two squares, intersection over union, to be the same face.
            patience: seconds that a face may be missing.
        """
        if memory < 1 or emotion_half_life <= 0 or not 0 < overlap <= 1 or patience < 0:
            raise ConfigError("smoother: memory must be 1 or more, times positive, overlap between 0 and 1")
        self.memory, self.half_life, self.overlap, self.patience = memory, emotion_half_life, overlap, patience
        self.tracks: dict[int, Track] = {}
        self.next = 0

    def update(
        self, squares: Sequence[Square], predictions: Sequence[Prediction], seconds: float
    ) -> list[tuple[int, Prediction]]:
        """Take up one frame.

        Args:
            squares: of its faces.
            predictions: of the same faces.
            seconds: time of the frame; must not go back.

        Returns:
            Number of the track and smoothed prediction of each face, in their order.
        """
        self.tracks = {n: t for n, t in self.tracks.items() if seconds - t.seen <= self.patience}
        numbers = self._assign(squares)
        smoothed = []
        for number, square, prediction in zip(numbers, squares, predictions, strict=True):
            track = self.tracks.setdefault(number, Track(square, seconds))
            said = self._blend(track, prediction, max(0.0, seconds - track.seen))
            track.square, track.seen, track.said, track.count = square, seconds, said, track.count + 1
            smoothed.append((number, said))
        return smoothed

    def _assign(self, squares: Sequence[Square]) -> list[int]:
        """Match squares to tracks, best overlap first; the rest are new."""
        pairs = sorted(
            ((overlap(s, t.square), i, n) for i, s in enumerate(squares) for n, t in self.tracks.items()), reverse=True
        )
        found: dict[int, int] = {}
        for share, i, number in pairs:
            if share >= self.overlap and i not in found and number not in found.values():
                found[i] = number
        for i in range(len(squares)):
            if i not in found:
                found[i], self.next = self.next, self.next + 1
        return [found[i] for i in range(len(squares))]

    def _blend(self, track: Track, new: Prediction, elapsed: float) -> Prediction:
        if track.said is None:
            return new
        slow, fast = 1 / min(track.count + 1, self.memory), 1 - math.pow(0.5, elapsed / self.half_life)
        blended = {}
        for task, found in new.attributes.items():
            share = fast if task.startswith(PASSING) else slow
            blended[task] = _mix(track.said.attributes[task], found, share)
        return Prediction(blended)


def overlap(first: Square, second: Square) -> float:
    """Return intersection over union of two squares, as if neither were turned: their angles do not count.

    An approximation: what a turn adds and takes at the corners is left out.
    """
    width, height = (
        max(0.0, min(a + first.side / 2, b + second.side / 2) - max(a - first.side / 2, b - second.side / 2))
        for a, b in ((first.x, second.x), (first.y, second.y))
    )
    shared = width * height
    return shared / (first.side**2 + second.side**2 - shared)


def _mix(old: Attribute, new: Attribute, share: float) -> Attribute:
    """Move an answer by a share of the way towards a new one."""
    if old.probabilities is not None and new.probabilities is not None:
        mixed = {
            name: old.probabilities[name] + share * (p - old.probabilities[name])
            for name, p in new.probabilities.items()
        }
        return Attribute(max(mixed, key=mixed.__getitem__), mixed)
    years = float(old.value) + share * (float(new.value) - float(old.value))
    interval = new.interval
    if old.interval and interval:
        low, high = (a + share * (b - a) for a, b in zip(old.interval, interval, strict=True))
        interval = low, high
    return Attribute(years, interval=interval)
