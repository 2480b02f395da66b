"""Calm answers on video: gender and age settle over a track, emotion follows the face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smart_retail.data.crops import Square
from smart_retail.edge.predictor import Prediction
from smart_retail.errors import ConfigError


@dataclass
class Track:
    """One face over time: its last place, when it was seen, and what was made of it."""

    square: Square
    seen: float
    said: Prediction | None = None
    count: int = 0


class TrackSmoother:
    """Follows faces from frame to frame by overlap and averages what the network says of each.

    Who a person is does not change within a track: gender and age are means over it, with at most
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
        old, slow = track.said, 1 / min(track.count + 1, self.memory)
        fast = 1 - math.pow(0.5, elapsed / self.half_life)
        gender = _mix(old.gender_probabilities, new.gender_probabilities, slow)
        emotion = _mix(old.emotion_probabilities, new.emotion_probabilities, fast)
        age = old.age + slow * (new.age - old.age)
        interval = new.age_interval
        if old.age_interval and interval:
            low, high = (a + slow * (b - a) for a, b in zip(old.age_interval, interval, strict=True))
            interval = low, high
        return replace(
            new,
            gender=max(gender, key=gender.__getitem__),
            gender_probabilities=gender,
            age=age,
            age_interval=interval,
            emotion=max(emotion, key=emotion.__getitem__),
            emotion_probabilities=emotion,
        )


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


def _mix(old: dict[str, float], new: dict[str, float], share: float) -> dict[str, float]:
    return {name: value + share * (new[name] - value) for name, value in old.items()}
