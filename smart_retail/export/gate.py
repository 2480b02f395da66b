"""What stops an export: INT8 that is shown to lose too much, and a network with one answer for every face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.errors import ConfigError, GateError
from smart_retail.evaluation.metrics import labelled, predicted_classes
from smart_retail.quantise.int8 import Int8Settings
from smart_retail.tasks import Task

MIN_SPREAD_YEARS = 0.5
"""Between the lowest and the highest answer of a network that looks at its faces."""
MIN_STEPS = 100
"""Of a training from scratch, before which it has learnt next to nothing."""


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

    def check(self, drops: Mapping[str, Mapping[str, Any]], ways_out: Sequence[str] = ()) -> list[str]:
        """Compare the intervals of measured losses with what is allowed.

        Args:
            drops: by task, see ``evaluation.metrics.losses_between``.
            ways_out: what else could be done, see ``ways_out``.

        Returns:
            A line for each task of which there are too few faces to tell: the limit lies inside the interval.

        Raises:
            ConfigError: there is a limit for a task that was not measured.
            GateError: a task is shown to lose more, or none was measured.
        """
        if not drops:
            raise GateError("INT8 cannot be judged: no validation face has a label; --precision fp32 does without")
        if odd := sorted(set(self.tasks or {}) - set(drops)):
            raise ConfigError(f"gate.tasks names {', '.join(odd)}; measured were {', '.join(drops)}")
        failed, unsure = [], []
        for task, d in drops.items():
            limit = (self.tasks or {}).get(task, self.points if d["unit"] == "points" else self.years)
            known = d["low"] is not None
            reach = f"95% interval {d['low']:.2f} to {d['high']:.2f}" if known else "no interval"
            faces = f"{d['faces']:.0f} face" + "s" * (d["faces"] != 1)
            line = f"{task} loses {d['drop']:.2f} {d['unit']} (allowed: {limit:g}; {reach}, {faces})"
            if known and d["low"] > limit:
                failed.append(line)
            elif not known or d["high"] > limit:
                unsure.append(line)
        if failed:
            limits = "a wider --gate.points, --gate.years or --gate.tasks.TASK"
            raise GateError(
                f"INT8 is too inaccurate: {'; '.join(failed)}. Nothing was written. "
                f"Ways out: {', '.join([*ways_out, limits])}, or --precision fp32, which leaves INT8 out"
            )
        return unsure


def ways_out(settings: Int8Settings, *, trained: bool, faces: int) -> list[str]:
    """Return what can still make INT8 more accurate: nothing that has just been tried.

    Args:
        settings: how INT8 was made.
        trained: whether by quantisation-aware training.
        faces: in the training part: so many can calibrate.
    """
    tried = {
        f"--int8.calibration_faces {min(faces, 4 * settings.calibration_faces)}": faces <= settings.calibration_faces,
        "--int8.ranges auto": settings.ranges == "auto",
        "--int8.weight_bits 8": settings.weight_bits == 8,
        "--int8.correct_bias true": settings.correct_bias,
        "quantisation-aware training (configs/experiment/qat.yaml)": trained,
    }
    return [way for way, done in tried.items() if not done]


def check_answers(table: pd.DataFrame, tasks: Sequence[Task]) -> list[str]:
    """Return the tasks whose answer is the same for every face, though the labels differ.

    Args:
        table: of predictions on validation faces.
        tasks: of the network.

    Raises:
        GateError: these are all tasks with different labels: the network has learnt nothing.
    """
    differing, constant = [], []
    for task in tasks:
        known = labelled(table, task)
        if known[task.name].nunique() < 2:
            continue
        differing.append(task.name)
        answers = predicted_classes(known, task) if task.is_classes else known[f"{task.name}_pred"].to_numpy()
        if np.ptp(answers) < (1 if task.is_classes else MIN_SPREAD_YEARS):
            constant.append(task.name)
    if constant and constant == differing:
        raise GateError(
            f"a constant network: {', '.join(constant)} have one answer for all {len(table):,} validation faces. "
            f"Nothing was written. Train longer (from scratch, {MIN_STEPS} steps teach nothing), or start from the "
            "network of the package: --config configs/experiment/finetune.yaml"
        )
    return constant
