"""Where the network is worst: gaps between groups of race, gender and age."""

from __future__ import annotations

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score, mean_absolute_error

from smart_retail.evaluation.intervals import bootstrap, difference, mean_within
from smart_retail.evaluation.metrics import MIN_GROUP_FACES, SLICES, labelled, predicted_classes, slices
from smart_retail.evaluation.predictions import tasks_of_table
from smart_retail.tasks import AGE, GENDER

FACTORS = {"race": SLICES[:1], "gender": SLICES[1:2], "age": SLICES[2:], "race, gender and age": SLICES}
COLUMNS = ["factor", "metric", "best", "best_value", "worst", "worst_value", "gap", "low", "high", "groups"]
TASKS = (GENDER.name, AGE.name)
"""Tasks that faces with a race, a gender and an age have labels of."""


def gaps(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the best and the worst group of each factor.

    The interval of a gap holds for these two groups; of many groups the worst looks worse than it is.

    Args:
        faces: predictions; only faces with race, gender and age count.

    Returns:
        ``COLUMNS``: ``gap`` is worst minus best (points below zero, years above); ``groups`` with at least
        ``MIN_GROUP_FACES`` faces were compared. Nothing where fewer than two have as many.
    """
    rows: list[tuple] = []
    tasks = tasks_of_table(faces)
    sliced = slices(faces, tasks)
    for task in (task for task in tasks if task.name in TASKS):
        if (known := labelled(sliced, task)).empty:
            continue
        predicted = predicted_classes(known, task) if task.is_classes else known[f"{task.name}_pred"].to_numpy()
        labels, score = known[task.name].to_numpy(), accuracy_score if task.is_classes else mean_absolute_error
        values = (predicted == labels if task.is_classes else np.abs(predicted - labels)).astype(float)
        for factor, columns in FACTORS.items():
            names = known[columns].astype(str).agg(", ".join, axis=1)
            large = (names.groupby(names).transform("size") >= MIN_GROUP_FACES).to_numpy(bool)
            groups = names[large].to_numpy(str)
            if len(np.unique(groups)) < 2:
                continue
            frame = MetricFrame(
                metrics=score, y_true=labels[large], y_pred=predicted[large], sensitive_features=groups
            ).by_group
            best, worst = (frame.idxmax(), frame.idxmin()) if task.is_classes else (frame.idxmin(), frame.idxmax())
            ends = (mean_within(values[large], (groups == name).astype(float)) for name in (best, worst))
            gap = bootstrap(difference(*ends), known["cluster"].to_numpy()[large])
            rows.append((factor, task.metric, best, frame[best], worst, frame[worst], *gap[:3], len(frame)))
    return pd.DataFrame(rows, columns=COLUMNS)
