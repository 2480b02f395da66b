"""The figures of a report, from a table of predictions: by data set, by age, by group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from smart_retail.evaluation.intervals import Interval, Statistic, balanced_accuracy, bootstrap, macro_f1, mean_of
from smart_retail.evaluation.predictions import CLASSES
from smart_retail.labels import CUMULATIVE_YEARS, GENDERS, HALF_YEAR
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


QUESTIONS = ("gender", "age", "age_range", "emotion", "emotion_crowd", "emotion_original")
"""What is asked of a network: its tasks, ages of which a range is known, and other opinions on emotions."""


def answered(faces: pd.DataFrame, question: str) -> pd.DataFrame:
    """Return the faces that have a label and an answer to one of ``QUESTIONS``."""
    task = question.partition("_")[0]
    said = "age_said" if task == "age" else CLASSES[task][1][0]
    label = "age_low" if question == "age_range" else question
    return faces[faces[label].notna() & faces[said].notna()]


def statistics(faces: pd.DataFrame, question: str) -> dict[str, Statistic]:
    """Return the metrics of a question by name, for faces that ``answered`` gave.

    Returns:
        ``gender_acc``, ``gender_balanced_acc``; ``age_mae``, ``age_bias`` (years; above zero: said too
        old), ``age_cs5``; ``age_inside`` (share inside the range), ``age_outside`` (years outside it);
        ``emotion_acc``, ``emotion_f1``, ``emotion_crowd_acc``, ...; shares from 0 to 1.
    """
    if question == "age_range":
        low, high, years = (faces[column].to_numpy() for column in ("age_low", "age_high", "age_said"))
        outside = np.maximum(0, np.maximum(low - HALF_YEAR - years, years - high - HALF_YEAR))
        return {"age_inside": mean_of(outside == 0), "age_outside": mean_of(outside)}
    if question == "age":
        errors = (faces["age_said"] - faces["age"]).to_numpy()
        near = np.abs(errors) <= CUMULATIVE_YEARS
        return {"age_mae": mean_of(np.abs(errors)), "age_bias": mean_of(errors), "age_cs5": mean_of(near)}
    names, columns = CLASSES[question.partition("_")[0]]
    labels, said = faces[question].to_numpy(int), faces[columns].to_numpy().argmax(1)
    found = {f"{question}_acc": mean_of(labels == said)}
    if question == "gender":
        return found | {"gender_balanced_acc": balanced_accuracy(labels, said)}
    return found | {f"{question}_f1": macro_f1(labels, said, len(names))}


def measure(faces: pd.DataFrame) -> dict[str, Interval]:
    """Return every metric that the labels of some faces allow, by name; see ``statistics``.

    Args:
        faces: rows of a table of predictions.
    """
    found: dict[str, Interval] = {}
    for question in QUESTIONS:
        if len(known := answered(faces, question)):
            clusters = known["cluster"].to_numpy()
            found |= {name: bootstrap(s, clusters) for name, s in statistics(known, question).items()}
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
    for pose, inside in faces[faces["pose"] != ""].groupby("pose"):
        yield "pose", f"{pose} heads", inside
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
    """Return the faces that have all three of race, gender and age, with these as ``by_race``, ..., in words.

    An age that is a range counts by its middle.
    """
    age = faces["age"].fillna((faces["age_low"] + faces["age_high"]) / 2)
    raced = faces[faces["race"].ne("") & faces["gender"].notna() & age.notna()]
    return raced.assign(
        by_race=raced["race"],
        by_gender=raced["gender"].map(dict(enumerate(GENDERS))),
        by_age=pd.cut(age[raced.index], AGE_GROUPS, right=False, labels=AGE_NAMES),
    )


def class_confusion(faces: pd.DataFrame, task: str) -> pd.DataFrame:
    """Return the (C, C) counts of a task: labels down, said across; zeros without labels."""
    names, columns = CLASSES[task]
    known = answered(faces, task)
    counts = confusion(known[task].to_numpy(int), known[columns].to_numpy().argmax(1), len(names))
    return pd.DataFrame(counts, index=list(names), columns=list(names))
