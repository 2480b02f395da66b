"""What a network says of every face of a split: the one table that gate, card, report and figures are computed from."""

from __future__ import annotations

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
ATTRS = ("model", "split", "data_fingerprint", "trained_on", "bundle", "tasks")


def probability_columns(task: Task) -> list[str]:
    """Return the columns with the probability of each class."""
    return [f"p_{task.name}_{name}" for name in task.classes]


def output_columns(tasks: Sequence[Task]) -> list[str]:
    """Return the columns with a network's answers: probabilities of classes, years and their stated deviation."""
    found: list[str] = []
    for task in tasks:
        found += probability_columns(task) if task.is_classes else [f"{task.name}_pred", f"{task.name}_std"]
    return found


def first_output(task: Task) -> str:
    """Return the column that is empty where a network says nothing on a task."""
    return output_columns([task])[0]


def known_columns(tasks: Sequence[Task]) -> list[str]:
    """Return the columns with labels that answers are compared with."""
    return [
        name for task in tasks for name in (task.name, *task.opinions, *(() if task.is_classes else task.range_columns))
    ]


def columns(tasks: Sequence[Task]) -> list[str]:
    """Return all columns of a table."""
    return list(dict.fromkeys([*ABOUT, *known_columns(tasks), *output_columns(tasks)]))


def tasks_of_table(table: pd.DataFrame) -> tuple[Task, ...]:
    """Return the tasks that a table tells of; the default ones if it does not say.

    Raises:
        DataError: what it says are no tasks.
    """
    told = table.attrs.get("tasks")
    if told is None:
        return TASKS
    try:
        return checked(task_of(task) for task in told)
    except (ConfigError, TypeError) as error:
        raise DataError(f"the predictions' tasks cannot be: {error}") from error


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet, with its ``attrs``; aside and renamed."""
    with write_aside(path) as aside:
        table.to_parquet(aside, index=False)


def read_predictions(path: Path, reference: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read what ``write_predictions`` wrote, or anyone's predictions.

    A table needs ``key`` and what somebody said: ``age_pred``, ``gender_pred`` and ``emotion_pred`` (names
    of classes), or a probability for every class (``p_gender_male``, ...). Labels and data sets are the table's
    own or, by ``key``, those of a reference.

    Args:
        path: Parquet, or CSV by its suffix.
        reference: predictions of the same faces by another network; its tasks are those of a table that names none.

    Returns:
        A table with the ``columns`` of its tasks; what the file does not tell is NaN.

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
    if table["key"].duplicated().any():
        twice = table.loc[table["key"].duplicated(), "key"].iloc[0]
        raise DataError(f"{path} names a face twice: {twice}")
    table.attrs = attrs
    tasks = tasks_of_table(reference if reference is not None and "tasks" not in attrs else table)
    theirs = {} if reference is None else {task.name: task.classes for task in tasks_of_table(reference)}
    if odd := [task.name for task in tasks if theirs.get(task.name, task.classes) != task.classes]:
        raise DataError(f"{path} has other classes of {', '.join(odd)} than what it is compared with")
    for task in tasks:
        if task.is_classes:
            _read_classes(table, task, path)
    if reference is not None:
        table = _labelled_by(table, reference, tasks, path)
    frame = _complete(table, tasks, path)
    frame.attrs = attrs | {"tasks": [task.to_dict() for task in tasks]}
    return frame


def _read_classes(table: pd.DataFrame, task: Task, path: Path) -> None:
    """Turn names of classes into numbers, and classes said without probabilities into certain ones, in place."""
    number = {name: i for i, name in enumerate(task.classes)} | {str(i): i for i in range(len(task.classes))}
    said = f"{task.name}_pred"
    for column in (task.name, *task.opinions, said):
        if column in table:
            words = table[column].astype(object)
            known = words.notna() & (words.astype(str).str.strip() != "")
            plain = words[known].astype(str).str.strip().str.lower().str.removesuffix(".0")
            unknown = sorted(set(plain) - number.keys())
            if unknown:
                raise DataError(f"{path}: {column} {unknown[0]!r} is none of {', '.join(task.classes)}")
            table[column] = plain.map(number).reindex(table.index).astype("float64")
    wanted = probability_columns(task)
    there = [c for c in wanted if c in table]
    if there and len(there) < len(wanted):
        raise DataError(f"{path} lacks {', '.join(c for c in wanted if c not in table)} beside {there[0]}")
    if not there and said in table:
        answers = table[said].to_numpy()
        certain = (answers[:, None] == np.arange(len(task.classes))).astype(float)
        table[wanted] = np.where(np.isnan(answers)[:, None], np.nan, certain)


def _labelled_by(table: pd.DataFrame, reference: pd.DataFrame, tasks: Sequence[Task], path: Path) -> pd.DataFrame:
    known = [name for name in (*ABOUT[1:], *known_columns(tasks)) if name in reference]
    both = table["key"].isin(reference["key"])
    if not both.any():
        raise DataError(
            f"{path} names none of the faces that it is compared on; keys look like {reference['key'].iloc[0]}"
        )
    outputs = [c for c in output_columns(tasks) if c in table]
    merged: pd.DataFrame = reference[["key", *known]].merge(table.loc[both, ["key", *outputs]], on="key")
    return merged


def _complete(table: pd.DataFrame, tasks: Sequence[Task], path: Path) -> pd.DataFrame:
    labels = known_columns(tasks)
    for kind, wanted in (("labels", labels), ("predictions", [first_output(task) for task in tasks])):
        if not any(name in table and table[name].notna().any() for name in wanted):
            raise DataError(f"{path} has no {kind}: none of the columns {', '.join(wanted)} is there and filled")
    frame = pd.DataFrame({"key": table["key"]})
    frame["dataset"] = (
        table["dataset"].astype(object).fillna("unnamed").astype(str) if "dataset" in table else "unnamed"
    )
    for column in ("race", "pose", "duplicate"):
        frame[column] = table[column].astype(object).fillna("").astype(str) if column in table else ""
    # Without clusters every face is an observation of its own.
    frame["cluster"] = table["cluster"].to_numpy() if "cluster" in table else np.arange(len(table))
    for column in (*labels, *output_columns(tasks)):
        values = pd.to_numeric(table[column], errors="coerce") if column in table else np.nan
        frame[column] = pd.Series(values, index=table.index).astype("float64")
        if column in table and not np.isfinite(frame[column].dropna()).all():
            raise DataError(f"{path}: {column} holds what is no number")
    for task in tasks:
        wanted = probability_columns(task)
        said = frame[wanted].dropna()
        if len(said) and ((said < -1e-6) | (said > 1 + 1e-6)).any(axis=None):
            raise DataError(f"{path}: {wanted[0]}, ... must be probabilities from 0 to 1")
    return frame[columns(tasks)]
