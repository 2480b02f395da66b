"""What a network predicts of every face of a split: the one table that gate, card, report and figures come from."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.errors import ConfigError, DataError, one_line
from smart_retail.files import write_aside
from smart_retail.tasks import TASKS, Task, checked, task_of

ABOUT = ["key", "dataset", "race", "pose", "cluster", "duplicate"]
"""What is known of a face beside its labels. ``pose``: ``frontal``, ``turned``, or empty without landmarks.
``duplicate``: ``in training``, ``set aside`` (a training face that was left out because of it), or empty."""
ATTRS = ("model", "split", "data_fingerprint", "trained_on", "bundle", "tasks", "date", "network")


def probability_columns(task: Task) -> list[str]:
    """Return the columns with the probability of each class."""
    return [f"p_{task.name}_{name}" for name in task.classes]


def output_columns(tasks: Sequence[Task]) -> list[str]:
    """Return the columns of predictions: probabilities of classes, years and their stated deviation."""
    columns = (probability_columns(t) if t.is_classes else [f"{t.name}_pred", f"{t.name}_std"] for t in tasks)
    return [*itertools.chain.from_iterable(columns)]


def first_output(task: Task) -> str:
    """Return the column that is empty where a network predicts nothing of a task."""
    return output_columns([task])[0]


def label_columns(tasks: Sequence[Task]) -> list[str]:
    """Return the columns with labels that predictions are compared with."""
    columns = ((t.name, *t.opinions, *(() if t.is_classes else t.range_columns)) for t in tasks)
    return [*itertools.chain.from_iterable(columns)]


def columns(tasks: Sequence[Task]) -> list[str]:
    """Return all columns of a table."""
    return list(dict.fromkeys([*ABOUT, *label_columns(tasks), *output_columns(tasks)]))


def tasks_of_table(table: pd.DataFrame) -> tuple[Task, ...]:
    """Return the tasks of a table; the default ones if it names none.

    Raises:
        DataError: what it names are no tasks.
    """
    stored = table.attrs.get("tasks")
    try:
        return TASKS if stored is None else checked(task_of(task) for task in stored)
    except (ConfigError, TypeError) as error:
        raise DataError(f"the predictions' tasks cannot be: {error}") from error


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet, with its ``attrs``; aside and renamed."""
    with write_aside(path) as aside:
        table.to_parquet(aside, index=False)


def read_predictions(path: Path, reference: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read what ``write_predictions`` wrote, or anyone's Parquet or CSV with a ``key`` and predictions.

    These are ``age_pred``, ``gender_pred`` and ``emotion_pred`` (names of classes), or a probability for every class
    (``p_gender_male``, ...). Labels and data sets are the table's own or, by ``key``, those of a reference: predictions
    of the same faces by another network, which also names the tasks where the table does not.

    Returns:
        A table with the ``columns`` of its tasks; what the file lacks is NaN.

    Raises:
        DataError: the file is missing or damaged, lacks a column, or holds what it must not.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such predictions; smart-retail evaluate writes predictions.parquet")
    try:
        table: Any = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except Exception as error:  # pandas and pyarrow raise nearly anything on damaged files
        raise DataError(f"{path} is damaged or no table of predictions: {one_line(error)}") from error
    if "key" not in table or table.empty:
        raise DataError(f"{path} has no faces; a table of predictions names each in a column key")
    attrs = {k: v for k, v in table.attrs.items() if k in ATTRS}
    table = table.assign(key=table["key"].astype(str))
    if (twice := table["key"].duplicated()).any():
        raise DataError(f"{path} names a face twice: {table['key'][twice].iloc[0]}")
    table.attrs = attrs
    tasks = tasks_of_table(reference if reference is not None and "tasks" not in attrs else table)
    theirs = {} if reference is None else {task.name: task.classes for task in tasks_of_table(reference)}
    if odd := [task.name for task in tasks if theirs.get(task.name, task.classes) != task.classes]:
        raise DataError(f"{path} has other classes of {', '.join(odd)} than what it is compared with")
    for task in (task for task in tasks if task.is_classes):
        _number_classes(table, task, path)
    if reference is not None:
        if not (both := table["key"].isin(reference["key"])).any():
            like = reference["key"].iloc[0]
            raise DataError(f"{path} names none of the faces that it is compared on; keys look like {like}")
        labels = [name for name in ("key", *ABOUT[1:], *label_columns(tasks)) if name in reference]
        outputs = [name for name in ("key", *output_columns(tasks)) if name in table]
        table = reference[labels].merge(table.loc[both, outputs], on="key")
    frame = _complete(table, tasks, path)
    frame.attrs = attrs | {"tasks": [task.to_dict() for task in tasks]}
    return frame


def _number_classes(table: pd.DataFrame, task: Task, path: Path) -> None:
    """Turn names of classes into numbers, and classes without probabilities into certain ones, in place."""
    number = {name: i for i, name in enumerate(task.classes)} | {str(i): i for i in range(len(task.classes))}
    predicted = f"{task.name}_pred"
    for column in (name for name in (task.name, *task.opinions, predicted) if name in table):
        names = table[column].dropna().astype(str).str.strip().str.lower().str.removesuffix(".0")
        names = names[names != ""]
        if unknown := sorted(set(names) - number.keys()):
            raise DataError(f"{path}: {column} {unknown[0]!r} is none of {', '.join(task.classes)}")
        table[column] = names.map(number).reindex(table.index).astype("float64")
    wanted = probability_columns(task)
    there = [c for c in wanted if c in table]
    if there and len(there) < len(wanted):
        raise DataError(f"{path} lacks {', '.join(c for c in wanted if c not in table)} beside {there[0]}")
    if not there and predicted in table:
        classes = table[predicted].to_numpy()[:, None]
        table[wanted] = np.where(np.isnan(classes), np.nan, classes == np.arange(len(wanted)))


def _complete(table: pd.DataFrame, tasks: Sequence[Task], path: Path) -> pd.DataFrame:
    """Return all columns of a table, checked."""
    labels = label_columns(tasks)
    for kind, wanted in (("labels", labels), ("predictions", [first_output(task) for task in tasks])):
        if not table.reindex(columns=wanted).notna().any(axis=None):
            raise DataError(f"{path} has no {kind}: none of the columns {', '.join(wanted)} is there and filled")
    frame = table.reindex(columns=columns(tasks))
    texts = {"dataset": "unnamed", "race": "", "pose": "", "duplicate": ""}
    frame = frame.assign(**{name: frame[name].astype(object).fillna(none).astype(str) for name, none in texts.items()})
    if "cluster" not in table:  # every face is an observation of its own
        frame["cluster"] = np.arange(len(table))
    for name in (*labels, *output_columns(tasks)):
        frame[name] = pd.to_numeric(frame[name], errors="coerce").astype("float64")
        if np.isinf(frame[name]).any():
            raise DataError(f"{path}: {name} holds what is no number")
    for task in tasks:
        wanted = probability_columns(task)
        if ((frame[wanted] < -1e-6) | (frame[wanted] > 1 + 1e-6)).any(axis=None):
            raise DataError(f"{path}: {wanted[0]}, ... must be probabilities from 0 to 1")
    return frame
