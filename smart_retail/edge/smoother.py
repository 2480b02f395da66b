"""Calm answers on video: gender, age and the like settle over a track, emotion follows the face."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from smart_retail.data.crops import Square
from smart_retail.edge.prediction import Attribute, Prediction
from smart_retail.edge.tracker import Tracker
from smart_retail.errors import ConfigError

PASSING = "emotion"
"""How tasks begin whose answers change while a face is in view; others settle."""


@dataclass
class _Smoothed:
    """What was made of a track so far."""

    prediction: Prediction
    seconds: float
    count: int = 1


class TrackSmoother:
    """Follows faces from frame to frame and averages what the network says of each.

    What does not change within a track, as gender and age, is a mean over it, with at most
    ``memory`` faces' weight in the past. Expressions do: emotion fades with a half-life.

    Not an identification: a track ends when its face leaves, and nothing of it is kept.
    """

    def __init__(self, *, memory: int = 60, emotion_half_life: float = 0.5, patience: float = 1.0) -> None:
        """Set the time scales.

        Args:
            memory: faces after which new ones count for a fixed share.
            emotion_half_life: seconds.
            patience: seconds that a face may be missing.
        """
        if memory < 1 or emotion_half_life <= 0:
            raise ConfigError("smoother: memory must be 1 or more, emotion_half_life positive")
        self.memory, self.half_life = memory, emotion_half_life
        self.tracker = Tracker(patience=patience)
        self.smoothed: dict[int, _Smoothed] = {}

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
        numbers = [number for number in self.tracker.update(squares, seconds) if number is not None]
        self.smoothed = {number: self.smoothed[number] for number in self.tracker.tracks if number in self.smoothed}
        for number, prediction in zip(numbers, predictions, strict=True):
            if (track := self.smoothed.get(number)) is None:
                self.smoothed[number] = _Smoothed(prediction, seconds)
                continue
            slow, fast = 1 / min(track.count + 1, self.memory), self._fading(seconds - track.seconds)
            blended = blend(track.prediction, prediction, lambda task: fast if task.startswith(PASSING) else slow)  # noqa: B023
            self.smoothed[number] = _Smoothed(blended, seconds, track.count + 1)
        return [(number, self.smoothed[number].prediction) for number in numbers]

    def _fading(self, elapsed: float) -> float:
        return 1 - math.pow(0.5, max(0.0, elapsed) / self.half_life)


def blend(old: Prediction, new: Prediction, share: Callable[[str], float]) -> Prediction:
    """Move what was said of a face by a share of the way towards what is said of it now.

    Args:
        old: of the same tasks.
        new: of the face.
        share: of a task, from 0 to 1.
    """
    return Prediction({task: _mix(old.attributes[task], found, share(task)) for task, found in new.attributes.items()})


def _mix(old: Attribute, new: Attribute, share: float) -> Attribute:
    blank = old.blank and new.blank
    if old.probabilities is not None and new.probabilities is not None:
        mixed = {
            name: old.probabilities[name] + share * (p - old.probabilities[name])
            for name, p in new.probabilities.items()
        }
        return replace(new, value=max(mixed, key=mixed.__getitem__), probabilities=mixed, blank=blank)
    years = float(old.value) + share * (float(new.value) - float(old.value))
    interval = new.interval
    if old.interval and interval:
        low, high = (a + share * (b - a) for a, b in zip(old.interval, interval, strict=True))
        interval = low, high
    return replace(new, value=years, interval=interval, blank=blank)
