"""How much accuracy INT8 may cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smart_retail.errors import ConfigError, GateError


@dataclass(frozen=True)
class Gate:
    """Largest losses of INT8 against FP32 on the validation faces.

    Attributes:
        points: of accuracy, for a task of classes.
        years: of mean absolute error, for a task of years.
        tasks: another limit for some tasks, by name: ``{emotion: 2}``.
    """

    points: float = 1.0
    years: float = 0.15
    tasks: dict[str, float] | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        limits = {"points": self.points, "years": self.years, **(self.tasks or {})}
        for name, value in limits.items():
            if not value >= 0:
                raise ConfigError(f"gate.{name} {value} must be 0 or more")

    def limit(self, task: str, unit: str) -> float:
        """Return what a task may lose, in its unit."""
        return (self.tasks or {}).get(task, self.points if unit == "points" else self.years)

    def check(self, drops: Mapping[str, Mapping[str, Any]]) -> None:
        """Compare measured drops with what is allowed.

        Args:
            drops: by task, see ``evaluation.metrics.losses_between``.

        Raises:
            ConfigError: there is a limit for a task that was not measured.
            GateError: a task loses more, or none was measured.
        """
        if not drops:
            raise GateError("INT8 cannot be judged: no validation face has a label")
        if odd := sorted(set(self.tasks or {}) - set(drops)):
            raise ConfigError(f"gate.tasks names {', '.join(odd)}; measured were {', '.join(drops)}")
        failed = [
            f"{task} loses {d['drop']:.2f} {d['unit']} (allowed: {self.limit(task, d['unit']):g}; "
            f"95% interval {d['low']:.2f} to {d['high']:.2f}, {d['faces']:.0f} faces)"
            for task, d in drops.items()
            if d["drop"] > self.limit(task, d["unit"])
        ]
        if failed:
            raise GateError(
                f"INT8 is too inaccurate: {'; '.join(failed)}. Nothing was written. Ways out: quantisation-aware "
                "training (configs/experiment/qat.yaml), or a wider --gate.points, --gate.years, --gate.tasks"
            )
