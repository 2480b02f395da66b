"""How figures are written: names, units, digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from smart_retail.tasks import EMOTIONS, GENDERS, OPINIONS, Task

GOALS = {
    "gender_acc": (0.90, GENDERS),
    "age_mae": (4.0, ()),
    "emotion_acc": (0.75, EMOTIONS),
    "emotion_original_acc": (0.75, EMOTIONS),
}
"""What a full training of the project is to reach, accuracies above and years below, and the classes this holds for."""
KINDS = {
    "balanced_acc": ("{} balanced accuracy{}", ", %"),
    "acc": ("{} accuracy{}", ", %"),
    "f1": ("{} macro F1{}", ", %"),
    "kept": ("{} kept on unlabelled faces{}", ", %"),
    "mae": ("{}, mean error{}", " in years"),
    "bias": ("{}, bias{}", " in years"),
    "cs5": ("{} within 5 years{}", ", %"),
    "inside": ("{} inside the known range{}", ", %"),
    "outside": ("{} outside the known range{}", " in years"),
}
"""Of metrics, by the end of their names."""
TOO_FEW = "too few"


class Cell(NamedTuple):
    """A figure of a table with its 95% interval, both as text."""

    value: str
    interval: str = ""

    def __str__(self) -> str:
        """Return ``value (interval)``."""
        return f"{self.value} ({self.interval})" if self.interval else self.value


def metric_name(metric: str, tasks: Sequence[Task], *, unit: bool = True) -> str:
    """Return the name of a metric of one of some tasks in words, with its unit if asked for."""
    kind = next((end for end in KINDS if metric.endswith(f"_{end}")), None)
    if kind is None:
        return metric
    column = metric.removesuffix(f"_{kind}")
    owner = next((task.name for task in tasks if column in task.opinions), None)
    opinion = f", {OPINIONS.get(column, column)}" if owner else ""
    template, measured_in = KINDS[kind]
    return template.format(owner or column, opinion) + measured_in * unit


def in_years(metric: str) -> bool:
    """Whether a metric is in years, and smaller is better; others are shares."""
    return metric.endswith(("_mae", "_bias", "_outside"))


def goals(tasks: Sequence[Task]) -> dict[str, float]:
    """Return the goals of the project that hold for some tasks, by metric."""
    classes = {column: task.classes for task in tasks for column in (task.name, *task.opinions)}
    return {name: goal for name, (goal, known) in GOALS.items() if classes.get(name.rpartition("_")[0]) == known}


def number(value: float, metric: str, *, sign: str = "") -> str:
    """Return a figure in years with two digits, or in percent with one; ``sign`` ``+`` is for differences."""
    if pd.isna(value):
        return TOO_FEW
    return f"{value:{sign}.2f}" if in_years(metric) else f"{100 * value:{sign}.1f}"


def units(value: float, metric: str) -> str:
    """Return a figure with its unit."""
    return number(value, metric) + (" years" if in_years(metric) else "%")


def cell(row: Any, metric: str, column: str = "value", *, sign: str = "") -> Cell:
    """Return a figure of a row with its interval."""
    if pd.isna(row[column]) or pd.isna(row["low"]):
        return Cell(number(row[column], metric, sign=sign))
    low, high = (number(row[end], metric, sign=sign) for end in ("low", "high"))
    return Cell(number(row[column], metric, sign=sign), f"{low} to {high}")


def loss_in_words(loss: Mapping[str, Any]) -> str:
    """Return what a task lost, with its interval where there is one; see ``metrics.losses_between``."""
    reach = "" if loss["low"] is None else f" ({loss['low']:+.2f} to {loss['high']:+.2f})"
    return f"{loss['drop']:+.2f}{reach}"
