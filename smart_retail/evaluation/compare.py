"""Differences: two networks on the same faces (paired, McNemar's test), the best and the worst group of one network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, mean_absolute_error

from smart_retail.errors import DataError
from smart_retail.evaluation.intervals import bootstrap, difference, mean_within
from smart_retail.evaluation.metrics import (
    MIN_GROUP_FACES,
    SLICES,
    Target,
    labelled,
    predicted_classes,
    slices,
    statistics,
    targets,
)
from smart_retail.evaluation.predictions import label_columns, tasks_of_table
from smart_retail.evaluation.wording import TOO_FEW, in_years
from smart_retail.tasks import AGE, GENDER, Task

FIGURES = ["first", "second", "difference", "low", "high", "p"]
FACTORS = {"race": SLICES[:1], "gender": SLICES[1:2], "age": SLICES[2:], "race, gender and age": SLICES}
GAP_COLUMNS = ["factor", "metric", "best", "best_value", "worst", "worst_value", "gap", "low", "high", "groups"]
GROUPED = (GENDER.name, AGE.name)
"""Tasks that faces with a race, a gender and an age have labels of."""
NOT_COMPARED = ("_balanced_acc", "_bias")
"""A signed bias has no better or worse, and of two accuracies one is enough."""


def compare(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Compare two tables of predictions on the faces that both have, over all and by data set.

    Args:
        first: the one to compare with; its labels and opinions count for both.
        second: the other.

    Returns:
        ``group``, ``metric``, ``FIGURES``, ``faces``: both values, second minus first with its 95% interval (clusters
        of duplicates resampled, the same ones for both), the p-value of McNemar's exact test for accuracies (faces
        taken as independent) and the faces behind it. Values are NaN in groups of fewer than ``MIN_GROUP_FACES``.

    Raises:
        DataError: they have no face in common, or no task.
    """
    theirs = {(task.name, task.classes) for task in tasks_of_table(second)}
    tasks = [task for task in tasks_of_table(first) if (task.name, task.classes) in theirs]
    if not tasks:
        raise DataError("the predictions have no task in common")
    common = first["key"][first["key"].isin(second["key"])]
    if common.empty:
        raise DataError("the predictions have no face in common")
    first, second = (table.set_index("key").loc[common].reset_index() for table in (first, second))
    second = second.assign(**first[[name for name in label_columns(tasks) if name in first]])  # one truth
    rows = list(_rows("all", tasks, first, second))
    everyone = {metric: faces for _, metric, *_, faces in rows}
    for name in first["dataset"].unique() if first["dataset"].nunique() > 1 else ():
        inside = first["dataset"] == name
        # A data set that alone has labels of a task says nothing that all faces do not.
        rows += [row for row in _rows(str(name), tasks, first[inside], second[inside]) if row[-1] < everyone[row[1]]]
    found = pd.DataFrame(rows, columns=["group", "metric", *FIGURES, "faces"])
    found.loc[found["faces"] < MIN_GROUP_FACES, FIGURES] = np.nan
    return found


def _rows(group: str, tasks: Sequence[Task], first: pd.DataFrame, second: pd.DataFrame) -> Iterator[tuple]:
    for target in targets(tasks):
        both = labelled(first, *target).index.intersection(labelled(second, *target).index)
        if both.empty:
            continue
        pair = [table.loc[both] for table in (first, second)]
        everyone = np.ones((1, len(both)), np.float32)
        ours, theirs = (statistics(table, target) for table in pair)
        for metric in (name for name in ours if not name.endswith(NOT_COMPARED)):
            gap = bootstrap(difference(ours[metric], theirs[metric]), pair[0]["cluster"].to_numpy())
            values = (float(ours[metric](everyone)[0]), float(theirs[metric](everyone)[0]))
            p = mcnemar(*(_correct(table, target) for table in pair)) if metric.endswith("_acc") else np.nan
            yield group, metric, *values, *gap[:3], p, len(both)


def _correct(faces: pd.DataFrame, target: Target) -> np.ndarray:
    return np.asarray(predicted_classes(faces, target.task) == faces[target.column].to_numpy())


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of McNemar's exact test (McNemar 1947) of two (N,) right or wrong."""
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def verdict(row: pd.Series) -> str:
    """Return ``better``, ``worse`` or ``no difference shown`` for the second network of a row."""
    if row[["low", "high"]].isna().any():
        return TOO_FEW
    if row["low"] <= 0 <= row["high"]:
        return "no difference shown"
    return "better" if (row["difference"] < 0) == in_years(row["metric"]) else "worse"


def compare_all(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Compare every table but the first with the first; adds a column ``model``."""
    parts = [compare(tables[0], other).assign(model=other.attrs.get("model", "")) for other in tables[1:]]
    return pd.concat(parts, ignore_index=True)


def gaps(faces: pd.DataFrame) -> pd.DataFrame:
    """Return the best and the worst group of each factor.

    The interval of a gap holds for these two groups; of many groups the worst looks worse than it is.

    Args:
        faces: predictions; only faces with race, gender and age count.

    Returns:
        ``GAP_COLUMNS``: ``gap`` is worst minus best (points below zero, years above); ``groups`` with at least
        ``MIN_GROUP_FACES`` faces were compared. Nothing where fewer than two have as many.
    """
    rows: list[tuple] = []
    tasks = tasks_of_table(faces)
    sliced = slices(faces, tasks)
    for task in (task for task in tasks if task.name in GROUPED):
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
    return pd.DataFrame(rows, columns=GAP_COLUMNS)
