"""The figures of a report, from a table of predictions: by data set, by age, by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smart_retail.evaluation.intervals import Interval, Statistic, balanced_accuracy, bootstrap, macro_f1, mean_of
from smart_retail.evaluation.predictions import first_output, probability_columns, tasks_of_table
from smart_retail.tasks import AGE, CUMULATIVE_YEARS, GENDER, HALF_YEAR, Task

ADULTS = (21, 60)
"""Ages for which most published figures on UTKFace are given."""
MIN_GROUP_FACES = 30
"""Faces below which a group has no figure of its own."""
AGE_GROUPS = (0, 18, 40, 60, 200)
AGE_NAMES = ("under 18", "18 to 39", "40 to 59", "60 and over")
SLICES = ["by_race", "by_gender", "by_age"]
DUPLICATES = {
    "": "without a duplicate in training",
    "set aside": "duplicate set aside from training",
    "in training": "duplicate in training",
}


class Target(NamedTuple):
    """A task, and the labels that it is compared with: its own, another opinion, or the younger end of a range."""

    task: Task
    column: str


def targets(tasks: Sequence[Task]) -> list[Target]:
    """Return all that the predictions of some tasks are compared with."""
    columns = {t: (t.name, *t.opinions) if t.is_classes else (t.name, t.range_columns[0]) for t in tasks}
    return [Target(task, column) for task in tasks for column in columns[task]]


def labelled(faces: pd.DataFrame, task: Task, column: str = "") -> pd.DataFrame:
    """Return the faces with a prediction of a task, and a label in its column or another one."""
    needed = [column or task.name, first_output(task)]
    return faces.dropna(subset=needed) if {*needed} <= {*faces.columns} else faces[:0]


def predicted_classes(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return the (N,) number of the likeliest class of each face."""
    return np.asarray(faces[probability_columns(task)].to_numpy().argmax(1))


def years_outside(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return (N,) years by which predictions lie outside the ranges that are known; NaN where there is none."""
    years, low, high = (faces[column].to_numpy() for column in (f"{task.name}_pred", *task.range_columns))
    return np.asarray(np.maximum(0, np.maximum(low - HALF_YEAR - years, years - high - HALF_YEAR)))


def face_losses(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return (N,) what counts against a network, NaN without a label: 100 points for a wrong class, years of error.

    Where years are known as a range, the years outside it count.
    """
    if task.is_classes:
        label = faces[task.name].to_numpy(np.float64)
        known = ~np.isnan(label) & faces[first_output(task)].notna().to_numpy()
        return np.where(known, 100.0 * (predicted_classes(faces, task) != label), np.nan)
    exact = (faces[f"{task.name}_pred"] - faces[task.name]).abs().to_numpy()
    return np.where(np.isnan(exact), years_outside(faces, task), exact)


def statistics(faces: pd.DataFrame, target: Target) -> dict[str, Statistic]:
    """Return the metrics of a target by name, for faces that are ``labelled``.

    Returns:
        Shares from 0 to 1: of classes ``gender_acc``, and of two ``gender_balanced_acc``, of more ``emotion_f1``; for
        opinions ``emotion_crowd_acc``, ...; ``age_cs5``, ``age_inside`` (a range). Years: ``age_mae``, ``age_bias``
        (above zero: predicted too old), ``age_outside`` (a range).
    """
    task, column = target
    if not task.is_classes and column != task.name:
        outside = years_outside(faces, task)
        return {f"{task.name}_inside": mean_of(outside == 0), f"{task.name}_outside": mean_of(outside)}
    if not task.is_classes:
        errors = (faces[f"{task.name}_pred"] - faces[task.name]).to_numpy()
        kinds = {"mae": np.abs(errors), "bias": errors, "cs5": np.abs(errors) <= CUMULATIVE_YEARS}
        return {f"{task.name}_{kind}": mean_of(values) for kind, values in kinds.items()}
    labels, predicted = faces[column].to_numpy(int), predicted_classes(faces, task)
    accuracy = {f"{column}_acc": mean_of(labels == predicted)}
    if len(task.classes) == 2:
        return accuracy | {f"{column}_balanced_acc": balanced_accuracy(labels, predicted)}
    return accuracy | {f"{column}_f1": macro_f1(labels, predicted, len(task.classes))}


def measure(faces: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, Interval]:
    """Return every metric that the labels of some rows of a table of predictions allow, by name; see ``statistics``."""
    found: dict[str, Interval] = {}
    for target in targets(tasks):
        if len(known := labelled(faces, *target)):
            clusters = known["cluster"].to_numpy()
            found |= {name: bootstrap(s, clusters) for name, s in statistics(known, target).items()}
    return found


def losses_between(reference: pd.DataFrame, other: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """Return how much worse ``other`` is than ``reference`` on the same faces, in the same order, by task.

    Returns:
        By task ``drop`` (points of accuracy, years of mean error; positive is worse), ``low`` and
        ``high`` (95% interval, paired; None of a single cluster), ``faces``, ``unit``.
    """
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        gap = face_losses(other, task) - face_losses(reference, task)
        if (known := ~np.isnan(gap)).any():
            interval = bootstrap(mean_of(gap[known]), reference["cluster"].to_numpy()[known])
            values = [None if np.isnan(value) else float(value) for value in interval]
            found[task.name] = dict(zip(("drop", "low", "high", "faces"), values, strict=True))
            found[task.name]["unit"] = "points" if task.is_classes else "years"
    return found


def tabulate(faces: pd.DataFrame, parts: Sequence[str] = ()) -> pd.DataFrame:
    """Return all figures as rows: ``part``, ``group``, ``metric``, ``value``, ``low``, ``high``, ``faces``.

    Groups of fewer than ``MIN_GROUP_FACES`` keep their row, with the count and without a figure; all faces and whole
    data sets always have one.

    Args:
        faces: a table of predictions.
        parts: ``all``, ``data set``, ``ages``, ``duplicates``, ``pose``, ``decade``, ``group``; all by default.
    """
    tasks = tasks_of_table(faces)
    rows = [
        (part, group, metric, *figure)
        for part, group, inside in _groups(faces, tasks)
        if not parts or part in parts
        for metric, figure in measure(inside, tasks).items()
    ]
    found = pd.DataFrame(rows, columns=["part", "group", "metric", "value", "low", "high", "faces"])
    few = ~found["part"].isin(["all", "data set"]) & (found["faces"] < MIN_GROUP_FACES)
    found.loc[few, ["value", "low", "high"]] = np.nan
    return found


def _groups(faces: pd.DataFrame, tasks: Sequence[Task]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    yield "all", "all", faces
    for name, inside in faces.groupby("dataset"):
        yield "data set", str(name), inside
        if AGE in tasks and len(adults := inside[inside[AGE.name].between(*ADULTS)]):
            yield "ages", f"{name}, {ADULTS[0]} to {ADULTS[1]}", adults
        if (inside["duplicate"] != "").any():
            for duplicate, title in DUPLICATES.items():
                if len(some := inside[inside["duplicate"] == duplicate]):
                    yield "duplicates", f"{name}, {title}", some
    for pose, inside in faces[faces["pose"] != ""].groupby("pose"):
        yield "pose", f"{pose} heads", inside
    if years := years_of(tasks):
        for first, inside in faces.groupby(faces[years] // 10 * 10):
            yield "decade", f"{first:.0f} to {first + 9:.0f}", inside
    groups = slices(faces, tasks)
    for column in SLICES:
        for group, inside in groups.groupby(column, observed=True):
            yield "group", str(group), inside
    for names, inside in groups.groupby(SLICES, observed=True):
        yield "race, gender, age", ", ".join(map(str, names)), inside


def years_of(tasks: Sequence[Task]) -> str | None:
    """Return the task that decades are of: age, or else the first task of years, if any."""
    return next((t.name for t in sorted(tasks, key=lambda task: task != AGE) if not t.is_classes), None)


def slices(faces: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the faces that have all three of race, gender and age, with these in words as ``SLICES``.

    An age that is a range counts by its middle.
    """
    gender = next((task for task in tasks if task.name == GENDER.name and task.is_classes), None)
    if gender is None or AGE not in tasks:
        return faces[:0].assign(**dict.fromkeys(SLICES, ""))
    age = faces["age"].fillna((faces["age_low"] + faces["age_high"]) / 2)
    known = faces[faces["race"].ne("") & faces["gender"].notna() & age.notna()]
    return known.assign(
        by_race=known["race"],
        by_gender=known["gender"].map(dict(enumerate(gender.classes))),
        by_age=pd.cut(age[known.index], AGE_GROUPS, right=False, labels=AGE_NAMES),
    )
