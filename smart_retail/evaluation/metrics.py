"""The figures of a report, from a table of predictions: by data set, by age, by group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from smart_retail.evaluation.intervals import Interval, Statistic, balanced_accuracy, bootstrap, macro_f1, mean_of
from smart_retail.evaluation.predictions import CLASSES
from smart_retail.labels import CUMULATIVE_YEARS, GENDERS
from smart_retail.plots import confusion

ADULTS = (21, 60)
"""Ages for which most published figures on UTKFace are given."""
FEW = 30
"""Faces below which a group has no figure of its own."""
AGE_GROUPS = (0, 18, 40, 60, 200)
AGE_NAMES = ("under 18", "18 to 39", "40 to 59", "60 and over")
TWINS = {
    "": "without a twin in training",
    "set aside": "twin set aside from training",
    "in training": "twin in training",
}


def answered(faces: pd.DataFrame, task: str) -> pd.DataFrame:
    """Return the faces that have a label of a task and an answer to it."""
    said = "age_said" if task == "age" else CLASSES[task][1][0]
    return faces[faces[task].notna() & faces[said].notna()]


def statistics(faces: pd.DataFrame, task: str) -> dict[str, Statistic]:
    """Return the metrics of a task by name, for faces that ``answered`` gave.

    Returns:
        ``gender_acc``, ``gender_balanced_acc``; ``age_mae``, ``age_bias`` (years; above zero: said too
        old), ``age_cs5``; ``emotion_acc``, ``emotion_f1``; shares from 0 to 1.
    """
    if task == "age":
        errors = (faces["age_said"] - faces["age"]).to_numpy()
        near = np.abs(errors) <= CUMULATIVE_YEARS
        return {"age_mae": mean_of(np.abs(errors)), "age_bias": mean_of(errors), "age_cs5": mean_of(near)}
    names, columns = CLASSES[task]
    labels, said = faces[task].to_numpy(int), faces[columns].to_numpy().argmax(1)
    found = {f"{task}_acc": mean_of(labels == said)}
    if task == "gender":
        return found | {"gender_balanced_acc": balanced_accuracy(labels, said)}
    return found | {"emotion_f1": macro_f1(labels, said, len(names))}


def measure(faces: pd.DataFrame) -> dict[str, Interval]:
    """Return every metric that the labels of some faces allow, by name; see ``statistics``.

    Args:
        faces: rows of a table of predictions.
    """
    found: dict[str, Interval] = {}
    for task in ("gender", "age", "emotion"):
        if len(known := answered(faces, task)):
            clusters = known["cluster"].to_numpy()
            found |= {name: bootstrap(s, clusters) for name, s in statistics(known, task).items()}
    return found


def tabulate(faces: pd.DataFrame) -> pd.DataFrame:
    """Return all figures as rows: ``part``, ``group``, ``metric``, ``value``, ``low``, ``high``, ``faces``.

    Groups of fewer than ``FEW`` faces keep their row, with the count and without a figure.
    """
    rows = []
    for part, group, inside in _groups(faces):
        for metric, found in measure(inside).items():
            few = part not in ("all", "data set") and found.faces < FEW
            values = (float("nan"),) * 3 if few else found[:3]
            rows.append((part, group, metric, *values, found.faces))
    return pd.DataFrame(rows, columns=["part", "group", "metric", "value", "low", "high", "faces"])


def _groups(faces: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    yield "all", "all", faces
    for name, inside in faces.groupby("dataset"):
        yield "data set", str(name), inside
        aged = inside[inside["age"].between(*ADULTS)]
        if len(aged):
            yield "ages", f"{name}, {ADULTS[0]} to {ADULTS[1]}", aged
        if (inside["twin"] != "").any():
            for twin, words in TWINS.items():
                if len(some := inside[inside["twin"] == twin]):
                    yield "twins", f"{name}, {words}", some
    with_age = faces[faces["age"].notna()]
    for decade, inside in with_age.groupby(with_age["age"] // 10 * 10):
        first = int(float(str(decade)))
        yield "decade", f"{first} to {first + 9}", inside
    sliced = slices(faces)
    for column in ("by_race", "by_gender", "by_age"):
        for group, inside in sliced.groupby(column, observed=True):
            yield "group", str(group), inside
    for names, inside in sliced.groupby(list(sliced.columns[-3:]), observed=True):
        yield "race, gender, age", ", ".join(map(str, names)), inside


def slices(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the faces that have all three of race, gender and age, with these as ``by_race``, ..., in words."""
    raced = faces[faces["race"].ne("") & faces["gender"].notna() & faces["age"].notna()]
    return raced.assign(
        by_race=raced["race"],
        by_gender=raced["gender"].map(dict(enumerate(GENDERS))),
        by_age=pd.cut(raced["age"], AGE_GROUPS, right=False, labels=AGE_NAMES),
    )


def class_confusion(faces: pd.DataFrame, task: str) -> pd.DataFrame:
    """Return the (C, C) counts of a task: labels down, said across; zeros without labels."""
    names, columns = CLASSES[task]
    known = answered(faces, task)
    counts = confusion(known[task].to_numpy(int), known[columns].to_numpy().argmax(1), len(names))
    return pd.DataFrame(counts, index=list(names), columns=list(names))
