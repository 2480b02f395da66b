"""How much accuracy INT8 may cost."""

from __future__ import annotations

from dataclasses import dataclass

from smart_retail.errors import ConfigError, GateError
from smart_retail.labels import TASKS

UNITS = {"gender": "points", "age": "years", "emotion": "points"}


@dataclass(frozen=True)
class Gate:
    """Largest losses of INT8 against FP32 on the validation faces.

    Attributes:
        gender: points of accuracy.
        age: years of mean absolute error.
        emotion: points of accuracy.
    """

    gender: float = 1.0
    age: float = 0.15
    emotion: float = 1.0

    def __post_init__(self) -> None:
        """Check the values."""
        for task in TASKS:
            if not getattr(self, task) >= 0:
                raise ConfigError(f"gate.{task} {getattr(self, task)} must be 0 or more")

    def check(self, drops: dict[str, dict[str, float]]) -> None:
        """Compare measured drops with what is allowed.

        Args:
            drops: by task, see ``measure.drops``.

        Raises:
            GateError: a task loses more, or none was measured.
        """
        if not drops:
            raise GateError("INT8 cannot be judged: no validation face has a label")
        failed = [
            f"{task} loses {d['drop']:.2f} {UNITS[task]} (allowed: {getattr(self, task):g}; "
            f"95% interval {d['low']:.2f} to {d['high']:.2f}, {d['faces']:.0f} faces)"
            for task, d in drops.items()
            if d["drop"] > getattr(self, task)
        ]
        if failed:
            raise GateError(
                f"INT8 is too inaccurate: {'; '.join(failed)}. Nothing was written. Ways out: quantisation-aware "
                "training (configs/experiment/qat.yaml), --int8.sensitive 8, or a wider --gate"
            )
