"""Where the network is worst: gaps between groups of race, gender and age."""

from __future__ import annotations

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score, mean_absolute_error

from smart_retail.evaluation.intervals import Statistic, bootstrap
from smart_retail.evaluation.metrics import MIN_GROUP_FACES, Question, answered, classes_said, slices
from smart_retail.evaluation.predictions import tasks_of_table

FACTORS = {"race": ["by_race"], "gender": ["by_gender"], "age": ["by_age"]}
FACTORS["race, gender and age"] = ["by_race", "by_gender", "by_age"]
COLUMNS = ["factor", "metric", "best", "best_value", "worst", "worst_value", "gap", "low", "high", "groups"]
LEADING = ("gender_acc", "age_mae")
"""Metrics of the tasks that faces with a race, a gender and an age have labels of."""


def gaps(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the best and the worst group of each factor.

    The interval of a gap holds for these two groups; of many groups the worst looks worse than it is.

    Args:
        faces: predictions; only faces with race, gender and age count.

    Returns:
        ``COLUMNS``: ``gap`` is worst minus best (points below zero, years above); ``groups`` with at least
        ``MIN_GROUP_FACES`` faces were compared. Nothing where fewer than two have as many.
    """
    rows = []
    tasks = tasks_of_table(faces)
    for task in (task for task in tasks if task.name in ("gender", "age")):
        metric = task.metric
        score = accuracy_score if task.is_classes else mean_absolute_error
        known = answered(slices(faces, tasks), Question(task, task.name))
        if known.empty:
            continue
        known = known.assign(said=classes_said(known, task) if task.is_classes else known[f"{task.name}_pred"])
        for factor, parts in FACTORS.items():
            names = known[parts].astype(str).agg(", ".join, axis=1)
            counts = names.value_counts()
            small = counts[counts < MIN_GROUP_FACES]
            rest = known.assign(group=names)[~names.isin(small.index)]
            if rest["group"].nunique() < 2:
                continue
            said, labels = rest["said"].to_numpy(), rest[task.name].to_numpy()
            frame = MetricFrame(metrics=score, y_true=labels, y_pred=said, sensitive_features=rest["group"].to_numpy())
            ends = frame.by_group.idxmin(), frame.by_group.idxmax()
            best, worst = ends[::-1] if task.is_classes else ends
            losses = said == labels if task.is_classes else np.abs(said - labels)
            gap = bootstrap(
                _gap(losses.astype(float), rest["group"].to_numpy(), best, worst), rest["cluster"].to_numpy()
            )
            values = (best, frame.by_group[best], worst, frame.by_group[worst], *gap[:3])
            rows.append((factor, metric, *values, rest["group"].nunique()))
    return pd.DataFrame(rows, columns=COLUMNS)


def _gap(values: np.ndarray, groups: np.ndarray, best: str, worst: str) -> Statistic:
    def statistic(weights: np.ndarray) -> np.ndarray:
        means = []
        for name in (worst, best):
            inside = groups == name
            total = weights @ inside.astype(float)
            means.append((weights @ (values * inside)) / np.where(total > 0, total, np.nan))
        return np.asarray(means[0] - means[1])

    return statistic
