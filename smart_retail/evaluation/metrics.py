"""The figures of a report, from a table of predictions: by data set, by age, by group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from smart_retail.evaluation.intervals import Interval, balanced_accuracy, bootstrap, macro_f1, mean_of
from smart_retail.evaluation.predictions import EMOTION_COLUMNS, GENDER_COLUMNS
from smart_retail.labels import EMOTIONS, GENDERS
from smart_retail.plots import confusion

CUMULATIVE_YEARS = 5.0
ADULTS = (21, 60)
"""Ages for which most published figures on UTKFace are given."""
FEW = 30
"""Faces below which a group has no figure of its own."""
AGE_GROUPS = (0, 18, 40, 60, 200)


def measure(faces: pd.DataFrame) -> dict[str, Interval]:
    """Return every metric that the labels of some faces allow, by name.

    Args:
        faces: rows of a table of predictions.

    Returns:
        ``gender_acc``, ``gender_balanced_acc``, ``age_mae``, ``age_bias`` (years; above zero: said too
        old), ``age_cs5``, ``emotion_acc``, ``emotion_f1``; shares from 0 to 1.
    """
    found = {}
    if len(known := faces[faces["gender"].notna()]):
        labels, said = known["gender"].to_numpy(), known[GENDER_COLUMNS].to_numpy().argmax(1)
        clusters = known["cluster"].to_numpy()
        found["gender_acc"] = bootstrap(mean_of(labels == said), clusters)
        found["gender_balanced_acc"] = bootstrap(balanced_accuracy(labels, said), clusters)
    if len(known := faces[faces["age"].notna()]):
        errors, clusters = (known["age_said"] - known["age"]).to_numpy(), known["cluster"].to_numpy()
        found["age_mae"] = bootstrap(mean_of(np.abs(errors)), clusters)
        found["age_bias"] = bootstrap(mean_of(errors), clusters)
        found["age_cs5"] = bootstrap(mean_of(np.abs(errors) <= CUMULATIVE_YEARS), clusters)
    if len(known := faces[faces["emotion"].notna()]):
        labels, said = known["emotion"].to_numpy(), known[EMOTION_COLUMNS].to_numpy().argmax(1)
        clusters = known["cluster"].to_numpy()
        found["emotion_acc"] = bootstrap(mean_of(labels == said), clusters)
        found["emotion_f1"] = bootstrap(macro_f1(labels, said, len(EMOTIONS)), clusters)
    return found


def tabulate(faces: pd.DataFrame) -> pd.DataFrame:
    """Return all figures as rows: ``part``, ``group``, ``metric``, ``value``, ``low``, ``high``, ``faces``.

    Groups of fewer than ``FEW`` faces keep their row, with the count and without a figure.
    """
    rows = []
    for part, group, inside in _groups(faces):
        few = part not in ("all", "data set") and len(inside) < FEW
        for metric, found in measure(inside).items():
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
    with_age = faces[faces["age"].notna()]
    for decade, inside in with_age.groupby(with_age["age"] // 10 * 10):
        first = int(float(str(decade)))
        yield "decade", f"{first} to {first + 9}", inside
    raced = with_age[with_age["race"].fillna("").astype(str).ne("") & with_age["gender"].notna()]
    groups = pd.cut(raced["age"], AGE_GROUPS, right=False, labels=["under 18", "18 to 39", "40 to 59", "60 and over"])
    names = raced["gender"].map(dict(enumerate(GENDERS)))
    for group, inside in raced.groupby([raced["race"], names, groups], observed=True):
        yield "race, gender, age", ", ".join(map(str, group)), inside


def emotion_confusion(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the (6, 6) counts of emotions: labels down, said across; zeros without labels."""
    known = faces[faces["emotion"].notna()]
    labels, said = known["emotion"].to_numpy(int), known[EMOTION_COLUMNS].to_numpy().argmax(1)
    counts = confusion(labels, said, len(EMOTIONS))
    return pd.DataFrame(counts, index=list(EMOTIONS), columns=list(EMOTIONS))
