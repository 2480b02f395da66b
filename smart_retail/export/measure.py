"""Accuracy of deployed networks on labelled faces, and the paired difference between two of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

from smart_retail.data.face_crops import FaceCrops
from smart_retail.edge.runtime import Feed
from smart_retail.errors import DataError
from smart_retail.labels import CUMULATIVE_YEARS, EMOTIONS, GENDERS, HALF_YEAR, OTHER_LABELS, TASKS

WIDTHS = {"gender": len(GENDERS), "age": 1, "emotion": len(EMOTIONS)}
METRICS = {"gender": "gender_acc", "age": "age_mae", "emotion": "emotion_acc"}
RESAMPLES = 1000
COVERAGE = 0.8
AGE_BANDS = (0, 10, 20, 30, 40, 55, 70)
FEW = 30
"""Faces below which a band or a group has no figure of its own."""


@dataclass
class Judged:
    """What one network said of N labelled faces; NaN where there is no label (or no image).

    Attributes:
        gender: (N,) 1 where right, 0 where wrong.
        age: (N,) predicted minus true years.
        outside: (N,) years by which predictions lie outside a known range of ages.
        emotion: (N,) 1 where right, 0 where wrong.
        years: (N,) predicted years.
        said: by task (N, C) outputs of gender and emotion, in the form that the network gives them.
        labels: by task (N,) class numbers or years; also the ends of ranges, and other opinions on emotions.
    """

    gender: np.ndarray
    age: np.ndarray
    outside: np.ndarray
    emotion: np.ndarray
    years: np.ndarray
    said: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]

    def loss(self, task: str, *, ranges: bool = False) -> np.ndarray:
        """Return (N,) what counts against the network: points for classes, years for the age.

        Args:
            task: gender, age or emotion.
            ranges: count the years outside a range where the age is known no better.
        """
        if task == "age":
            exact = np.abs(self.age)
            return np.where(np.isnan(exact), self.outside, exact) if ranges else exact
        right = self.gender if task == "gender" else self.emotion
        return np.asarray(100 * (1 - right))

    def summary(self, rows: np.ndarray | slice = slice(None)) -> dict[str, float]:
        """Return what was measured of some faces, and the labels behind each.

        Returns:
            ``gender_acc``, ``age_mae``, ``age_cs5``, ``emotion_acc``, ``age_inside`` (share inside a known range), and
            ``emotion_crowd_acc``, ``emotion_crowd_f1``, ``emotion_original_acc``, ``emotion_original_f1`` against what
            most people say and what the data set says; ``gender_faces``, ``emotion_crowd_faces``, ...
        """
        values: dict[str, float] = {}
        for task, name in METRICS.items():
            losses = self.loss(task)[rows]
            known = losses[~np.isnan(losses)]
            values[f"{task}_faces"] = len(known)
            if len(known):
                mean = float(known.mean())
                values[name] = mean if task == "age" else 1 - mean / 100
            if len(known) and task == "age":
                values["age_cs5"] = float((known <= CUMULATIVE_YEARS).mean())
        outside = self.outside[rows]
        if (ranged := ~np.isnan(outside)).any():
            values |= {"age_inside": float((outside[ranged] == 0).mean()), "age_range_faces": int(ranged.sum())}
        for opinion in ("emotion_crowd", "emotion_original"):
            labels, said = self.labels[opinion][rows], self.said["emotion"][rows]
            if (known := ~np.isnan(labels) & ~np.isnan(said).any(axis=1)).any():
                truth, answers = labels[known], said[known].argmax(1)
                values[f"{opinion}_acc"] = float((truth == answers).mean())
                values[f"{opinion}_f1"] = float(f1_score(truth, answers, average="macro"))
                values[f"{opinion}_faces"] = int(known.sum())
        return values


def judge(networks: Mapping[str, Feed], faces: FaceCrops, *, batch_size: int = 64, what: str = "") -> dict[str, Judged]:
    """Run networks over the same faces in one pass.

    Args:
        networks: by name.
        faces: labelled faces.
        batch_size: faces at once.
        what: shown beside a progress bar.

    Raises:
        DataError: no face could be read.
    """
    table = faces.table
    labels = {
        name: pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        for name in (*TASKS, *OTHER_LABELS)
    }
    said = {
        name: {task: np.full((len(table), width), np.nan, np.float32) for task, width in WIDTHS.items()}
        for name in networks
    }
    read = 0
    for rows, crops in faces.batches(batch_size, what):
        read += len(rows)
        for name, run in networks.items():
            outputs = run(crops)
            for task in TASKS:
                said[name][task][rows] = outputs[task]
    if not read:
        raise DataError("no face can be read; is the data folder still there?")
    return {name: _judged(values, labels) for name, values in said.items()}


def _judged(said: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> Judged:
    right = {}
    for task in ("gender", "emotion"):
        known = ~np.isnan(labels[task]) & ~np.isnan(said[task]).any(axis=1)
        right[task] = np.where(known, (said[task].argmax(1) == labels[task]).astype(float), np.nan)
    years = said["age"][:, 0].astype(np.float64)
    outside = np.maximum(0, np.maximum(labels["age_low"] - HALF_YEAR - years, years - labels["age_high"] - HALF_YEAR))
    return Judged(right["gender"], years - labels["age"], outside, right["emotion"], years, said, labels)


def drops(reference: Judged, other: Judged, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return how much worse ``other`` is than ``reference`` on the same faces, by task.

    Returns:
        By task ``drop`` (points of accuracy, years of mean error; positive is worse), ``low`` and
        ``high`` (95% interval, paired bootstrap over the faces), ``faces``.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for task in TASKS:
        difference = other.loss(task, ranges=True) - reference.loss(task, ranges=True)
        difference = difference[~np.isnan(difference)]
        if len(difference):
            n = len(difference)
            means = [difference[rng.integers(n, size=n)].mean() for _ in range(RESAMPLES)]
            low, high = np.percentile(means, [2.5, 97.5])
            found[task] = {"drop": float(difference.mean()), "low": float(low), "high": float(high), "faces": n}
    return found


def age_interval(judged: Judged, coverage: float = COVERAGE) -> dict[str, Any]:
    """Return how far the true age lies from the predicted one, by band of the predicted age.

    Quantiles of the errors on faces the network was not trained on hold for new ones of the same kind
    (split conformal prediction, Lei et al. 2018, JASA), whatever the age head believes of itself.

    Returns:
        ``coverage``, ``faces`` and ``bands``: ``from`` (predicted years), ``below``, ``above``.
    """
    known = ~np.isnan(judged.age)
    if known.sum() < FEW:
        return {}
    tail = (1 - coverage) / 2
    years, truth = judged.years[known], -judged.age[known]
    bands = []
    for start, end in zip(AGE_BANDS, (*AGE_BANDS[1:], np.inf), strict=True):
        inside = (years >= start) & (years < end)
        # A thin band borrows from all faces rather than promise what it cannot know.
        low, high = np.quantile(truth[inside] if inside.sum() >= FEW else truth, [tail, 1 - tail])
        bands.append({"from": start, "below": max(0.0, -float(low)), "above": max(0.0, float(high))})
    return {"coverage": coverage, "faces": int(known.sum()), "bands": bands}


def groups(judged: Judged, table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the summary of each data set, gender, age group and race that has enough faces."""
    names = {"data set": table["dataset"], "race": table["race"].replace("", None)}
    names["gender"] = table["gender"].map(dict(enumerate(GENDERS)))
    edges = [*AGE_BANDS, 101]
    bands = [f"{a} to {b - 1}" for a, b in pairwise(edges)]
    age = table["age"].astype(float).fillna((table["age_low"] + table["age_high"]) / 2)
    names["age"] = pd.cut(age, edges, right=False, labels=bands).astype(object)
    found = {}
    for kind, values in names.items():
        for value in sorted(values.dropna().unique()):
            rows = (values == value).fillna(False).to_numpy(bool)
            if rows.sum() >= FEW:
                found[f"{kind} {value}"] = judged.summary(rows)
    return found
