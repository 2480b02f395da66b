"""Two networks on the same faces: paired differences, and McNemar's test for accuracies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from smart_retail.errors import DataError
from smart_retail.evaluation.intervals import bootstrap, difference
from smart_retail.evaluation.metrics import MIN_GROUP_FACES, Question, answered, classes_said, questions, statistics
from smart_retail.evaluation.predictions import known_columns, tasks_of_table
from smart_retail.evaluation.wording import in_years

COLUMNS = ["group", "metric", "first", "second", "difference", "low", "high", "p", "faces"]
NOT_COMPARED = ("_balanced_acc", "_bias")
"""A signed bias has no better or worse, and of two accuracies one is enough."""


def compare(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Compare two tables of predictions on the faces that both judged, over all and by data set.

    Args:
        first: the one to compare with.
        second: the other.

    Returns:
        ``COLUMNS``: both values, second minus first with its 95% interval (clusters of duplicates
        resampled, the same ones for both), the p-value of McNemar's exact test for accuracies (faces
        taken as independent) and the faces behind it. Values are NaN in groups of fewer than ``MIN_GROUP_FACES``.

    Raises:
        DataError: they have no face in common, or no task.
    """
    theirs = tasks_of_table(second)
    tasks = [
        task for task in tasks_of_table(first) if (task.name, task.classes) in {(t.name, t.classes) for t in theirs}
    ]
    if not tasks:
        raise DataError("the predictions have no task in common")
    common = first["key"][first["key"].isin(second["key"])]
    if common.empty:
        raise DataError("the predictions have no face in common")
    first = first.set_index("key").loc[common].reset_index()
    second = second.set_index("key").loc[common].reset_index()
    names = first["dataset"]
    groups = [("all", np.ones(len(first), bool))]
    if names.nunique() > 1:
        groups += [(str(name), (names == name).to_numpy()) for name in names.unique()]
    rows: list[tuple] = []
    for group, inside in groups:
        for question in questions(tasks):
            found = _compare(group, question, first[inside], second[inside])
            # A data set that alone has labels of a task says nothing that all faces do not.
            everyone = {row[1]: row[-1] for row in rows if row[0] == "all"}
            rows += [row for row in found if group == "all" or row[-1] < everyone[row[1]]]
    return pd.DataFrame(rows, columns=COLUMNS)


def _compare(group: str, question: Question, first: pd.DataFrame, second: pd.DataFrame) -> list[tuple]:
    both = answered(first, question).index.intersection(answered(second, question).index)
    if both.empty:
        return []
    # Labels of the first for both: one truth.
    a, b = first.loc[both], second.loc[both].assign(**first.loc[both, known_columns([question.task])])
    clusters = a["cluster"].to_numpy()
    ours, theirs = statistics(a, question), statistics(b, question)
    rows = []
    for metric in (name for name in ours if not name.endswith(NOT_COMPARED)):
        gap = bootstrap(difference(ours[metric], theirs[metric]), clusters)
        everyone = np.ones((1, len(both)), np.float32)
        values = (float(ours[metric](everyone)[0]), float(theirs[metric](everyone)[0]))
        p = mcnemar(*(_right(t, question) for t in (a, b))) if metric.endswith("_acc") else float("nan")
        figures = (*values, *gap[:3], p) if len(both) >= MIN_GROUP_FACES else (float("nan"),) * 6
        rows.append((group, metric, *figures, len(both)))
    return rows


def _right(faces: pd.DataFrame, question: Question) -> np.ndarray:
    return np.asarray(classes_said(faces, question.task) == faces[question.column].to_numpy())


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the two-sided p-value of McNemar's exact test (McNemar 1947) of two (N,) right or wrong."""
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second).pvalue)


def verdict(row: pd.Series) -> str:
    """Return ``better``, ``worse`` or ``no difference shown`` for the second network of a row."""
    if np.isnan(row["low"]) or np.isnan(row["high"]):
        return "too few"
    if row["low"] <= 0 <= row["high"]:
        return "no difference shown"
    return "better" if (row["difference"] < 0) == in_years(row["metric"]) else "worse"


def compare_all(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Compare every table but the first with the first; adds a column ``model``."""
    parts = [compare(tables[0], other).assign(model=other.attrs.get("model", "")) for other in tables[1:]]
    return pd.concat(parts, ignore_index=True)
