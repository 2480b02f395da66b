"""What is made of the people in a video: each counted once, by groups, over windows of time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from smart_retail.edge.prediction import Attribute, Prediction
from smart_retail.edge.smoother import blend
from smart_retail.errors import ConfigError
from smart_retail.tasks import Task

AGE_BOUNDS = (13, 20, 35, 50, 65)
"""Ages at which a group begins. Groups of less than ten years would promise more than a mean error of 4.6 keeps."""
UNKNOWN = "unknown"
"""Group of those who were never seen well enough, and of answers that are no better than a guess."""


@dataclass
class Visitor:
    """One person in view.

    Attributes:
        number: of the track.
        first: seconds at which it was seen first.
        last: seconds at which it was seen last.
        prediction: weighted mean of what the network said of the frames that were good enough; None before the first.
        good: number of those frames.
        bad: how often it could not be judged, by reason.
    """

    number: int
    first: float
    last: float
    prediction: Prediction | None = None
    good: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    weight: float = 0.0
    squares: dict[str, float] = field(default_factory=dict)
    classes: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, prediction: Prediction, weight: float) -> None:
        """Take in what the network says of one frame, with a weight above 0."""
        self.weight += weight
        before, share = self.prediction, weight / self.weight
        self.prediction = prediction if before is None else blend(before, prediction, lambda task: share)
        for task, found in prediction.attributes.items():
            if isinstance(found.value, str):
                self.classes.setdefault(task, Counter())[found.value] += 1
            else:
                # West's running variance: no list of frames is kept.
                was = float((before or prediction).attributes[task].value)
                off = (found.value - was) * (found.value - float(self.prediction.attributes[task].value))
                self.squares[task] = self.squares.get(task, 0.0) + weight * off
        self.good += 1

    @property
    def spread(self) -> dict[str, float]:
        """How unsteady the network was: standard deviation of years, share of frames that name another class."""
        if self.prediction is None:
            return {}
        years = {task: math.sqrt(max(0.0, squares) / self.weight) for task, squares in self.squares.items()}
        return years | {
            task: 1 - counts[str(self.prediction.attributes[task].value)] / self.good
            for task, counts in self.classes.items()
        }


def check_bounds(bounds: Sequence[int]) -> tuple[int, ...]:
    """Return the ages at which groups begin.

    Raises:
        ConfigError: they do not rise, or lie outside 1 to 100.
    """
    if list(bounds) != sorted(set(bounds)) or any(not 1 <= bound <= 100 for bound in bounds):
        raise ConfigError(f"--age_groups {list(bounds)}: write rising ages from 1 to 100 at which groups begin")
    return tuple(bounds)


def group(prediction: Prediction | None, tasks: Iterable[Task], bounds: Sequence[int]) -> tuple[str, ...]:
    """Return to which group somebody belongs, by task: a class, a range of years, or ``UNKNOWN``."""
    return tuple(_group(prediction.attributes[task.name], bounds) if prediction else UNKNOWN for task in tasks)


def _group(found: Attribute, bounds: Sequence[int]) -> str:
    if found.is_guess:
        return UNKNOWN
    return found.value if isinstance(found.value, str) else _years(found.value, bounds)


def _years(age: float, bounds: Sequence[int]) -> str:
    below = sum(age >= bound for bound in bounds)
    start = bounds[below - 1] if below else 0
    return f"{start}-{bounds[below] - 1}" if below < len(bounds) else f"{start}+"
