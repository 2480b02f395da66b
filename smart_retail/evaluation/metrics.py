"""The figures of a report, from a table of predictions: by data set, by age, by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smart_retail.evaluation.intervals import Interval, Statistic, balanced_accuracy, bootstrap, macro_f1, mean_of
from smart_retail.evaluation.predictions import first_output, probability_columns, tasks_of_table
from smart_retail.plots import confusion
from smart_retail.tasks import CUMULATIVE_YEARS, HALF_YEAR, Task

ADULTS = (21, 60)
"""Ages for which most published figures on UTKFace are given."""
MIN_GROUP_FACES = 30
"""Faces below which a group has no figure of its own."""
AGE_GROUPS = (0, 18, 40, 60, 200)
AGE_NAMES = ("under 18", "18 to 39", "40 to 59", "60 and over")
DUPLICATES = {
    "": "without a duplicate in training",
    "set aside": "duplicate set aside from training",
    "in training": "duplicate in training",
}


class Question(NamedTuple):
    """What is asked of a network: a task, compared with one column of labels.

    Attributes:
        task: whose answer it is.
        column: the task's own label, another opinion on it, or the younger end of a range of years.
    """

    task: Task
    column: str

    @property
    def is_range(self) -> bool:
        """Whether it is asked if the years lie inside a range."""
        return not self.task.is_classes and self.column != self.task.name


def questions(tasks: Sequence[Task]) -> list[Question]:
    """Return all that can be asked of a network with some tasks."""
    found = []
    for task in tasks:
        columns = (task.name, *task.opinions) if task.is_classes else (task.name, task.range_columns[0])
        found += [Question(task, column) for column in columns]
    return found


def answered(faces: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Return the faces that have a label and an answer to a question."""
    said = first_output(question.task)
    if said not in faces or question.column not in faces:
        return faces[:0]
    return faces[faces[question.column].notna() & faces[said].notna()]


def classes_said(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return the (N,) number of the likeliest class of each face."""
    return np.asarray(faces[probability_columns(task)].to_numpy().argmax(1))


def years_outside(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return (N,) years by which answers lie outside the ranges that are known; NaN where there is none."""
    said, low, high = (faces[column].to_numpy() for column in (f"{task.name}_pred", *task.range_columns))
    return np.asarray(np.maximum(0, np.maximum(low - HALF_YEAR - said, said - high - HALF_YEAR)))


def face_losses(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return (N,) what counts against a network, NaN without a label: 100 points for a wrong class, years of error.

    Where years are known as a range, the years outside it count.
    """
    if task.is_classes:
        label = faces[task.name].to_numpy(np.float64)
        known = ~np.isnan(label) & faces[first_output(task)].notna().to_numpy()
        return np.where(known, 100.0 * (classes_said(faces, task) != label), np.nan)
    exact = (faces[f"{task.name}_pred"] - faces[task.name]).abs().to_numpy()
    return np.where(np.isnan(exact), years_outside(faces, task), exact)


def statistics(faces: pd.DataFrame, question: Question) -> dict[str, Statistic]:
    """Return the metrics of a question by name, for faces that ``answered`` gave.

    Returns:
        Shares from 0 to 1: of classes ``gender_acc``, and of two ``gender_balanced_acc``, of more ``emotion_f1``; for
        opinions ``emotion_crowd_acc``, ...; ``age_cs5``, ``age_inside`` (a range). Years: ``age_mae``, ``age_bias``
        (above zero: predicted too old), ``age_outside`` (a range).
    """
    task, column = question
    if question.is_range:
        outside = years_outside(faces, task)
        return {f"{task.name}_inside": mean_of(outside == 0), f"{task.name}_outside": mean_of(outside)}
    if not task.is_classes:
        errors = (faces[f"{task.name}_pred"] - faces[task.name]).to_numpy()
        near = np.abs(errors) <= CUMULATIVE_YEARS
        names = (f"{task.name}_{kind}" for kind in ("mae", "bias", "cs5"))
        return dict(zip(names, (mean_of(np.abs(errors)), mean_of(errors), mean_of(near)), strict=True))
    labels, said = faces[column].to_numpy(int), classes_said(faces, task)
    found = {f"{column}_acc": mean_of(labels == said)}
    if len(task.classes) == 2:
        return found | {f"{column}_balanced_acc": balanced_accuracy(labels, said)}
    return found | {f"{column}_f1": macro_f1(labels, said, len(task.classes))}


def measure(faces: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, Interval]:
    """Return every metric that the labels of some faces allow, by name; see ``statistics``.

    Args:
        faces: rows of a table of predictions.
        tasks: of the table.
    """
    found: dict[str, Interval] = {}
    for question in questions(tasks):
        if len(known := answered(faces, question)):
            clusters = known["cluster"].to_numpy()
            found |= {name: bootstrap(s, clusters) for name, s in statistics(known, question).items()}
    return found


def losses_between(reference: pd.DataFrame, other: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, dict[str, Any]]:
    """Return how much worse ``other`` is than ``reference`` on the same faces, in the same order, by task.

    Returns:
        By task ``drop`` (points of accuracy, years of mean error; positive is worse), ``low`` and
        ``high`` (95% interval, paired), ``faces``, ``unit``.
    """
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        gap = face_losses(other, task) - face_losses(reference, task)
        if (known := ~np.isnan(gap)).any():
            interval = bootstrap(mean_of(gap[known]), reference["cluster"].to_numpy()[known])
            found[task.name] = dict(zip(("drop", "low", "high", "faces"), map(float, interval), strict=True))
            found[task.name]["unit"] = "points" if task.is_classes else "years"
    return found


def tabulate(faces: pd.DataFrame, parts: Sequence[str] = ()) -> pd.DataFrame:
    """Return all figures as rows: ``part``, ``group``, ``metric``, ``value``, ``low``, ``high``, ``faces``.

    Groups of fewer than ``MIN_GROUP_FACES`` keep their row, with the count and without a figure.

    Args:
        faces: a table of predictions.
        parts: ``all``, ``data set``, ``ages``, ``duplicates``, ``pose``, ``decade``, ``group``; all by default.
    """
    rows = []
    tasks = tasks_of_table(faces)
    for part, group, inside in _groups(faces, tasks):
        if parts and part not in parts:
            continue
        for metric, found in measure(inside, tasks).items():
            few = part not in ("all", "data set") and found.faces < MIN_GROUP_FACES
            values = (float("nan"),) * 3 if few else found[:3]
            rows.append((part, group, metric, *values, found.faces))
    return pd.DataFrame(rows, columns=["part", "group", "metric", "value", "low", "high", "faces"])


def _groups(faces: pd.DataFrame, tasks: Sequence[Task]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    yield "all", "all", faces
    years = years_of(tasks)
    for name, inside in faces.groupby("dataset"):
        yield "data set", str(name), inside
        if years and len(aged := inside[inside[years].between(*ADULTS)]):
            yield "ages", f"{name}, {ADULTS[0]} to {ADULTS[1]}", aged
        if (inside["duplicate"] != "").any():
            for duplicate, words in DUPLICATES.items():
                if len(some := inside[inside["duplicate"] == duplicate]):
                    yield "duplicates", f"{name}, {words}", some
    for pose, inside in faces[faces["pose"] != ""].groupby("pose"):
        yield "pose", f"{pose} heads", inside
    if years:
        with_age = faces[faces[years].notna()]
        for decade, inside in with_age.groupby(with_age[years] // 10 * 10):
            first = int(float(str(decade)))
            yield "decade", f"{first} to {first + 9}", inside
    sliced = slices(faces, tasks)
    for column in ("by_race", "by_gender", "by_age"):
        for group, inside in sliced.groupby(column, observed=True):
            yield "group", str(group), inside
    for names, inside in sliced.groupby(["by_race", "by_gender", "by_age"], observed=True):
        yield "race, gender, age", ", ".join(map(str, names)), inside


def years_of(tasks: Sequence[Task]) -> str | None:
    """Return the name of the first task of years, which tells how old somebody is."""
    return next((task.name for task in tasks if not task.is_classes), None)


def slices(faces: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the faces that have all three of race, gender and age, with these as ``by_race``, ..., in words.

    An age that is a range counts by its middle.
    """
    found = {task.name: task for task in tasks}
    gender, years = found.get("gender"), found.get("age")
    if gender is None or not gender.is_classes or years is None or years.is_classes:
        return faces[:0].assign(by_race="", by_gender="", by_age="")
    age = faces["age"].fillna((faces["age_low"] + faces["age_high"]) / 2)
    raced = faces[faces["race"].ne("") & faces["gender"].notna() & age.notna()]
    return raced.assign(
        by_race=raced["race"],
        by_gender=raced["gender"].map(dict(enumerate(gender.classes))),
        by_age=pd.cut(age[raced.index], AGE_GROUPS, right=False, labels=AGE_NAMES),
    )


def class_confusion(faces: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Return the (C, C) counts of a task: labels down, predictions across; zeros without labels."""
    known = answered(faces, Question(task, task.name))
    counts = confusion(known[task.name].to_numpy(int), classes_said(known, task), len(task.classes))
    return pd.DataFrame(counts, index=list(task.classes), columns=list(task.classes))
