"""What the cells of a table say of faces: classes, years, votes, splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.data.sources.ages import Age, age_range, decimal_commas, parse_age
from smart_retail.data.sources.problems import Problems, joined, read_cells, read_numbers
from smart_retail.data.sources.vocabulary import (
    MEANING,
    PARTS,
    NoClassOfOursError,
    class_of,
    is_empty,
    is_number,
    plain,
)
from smart_retail.errors import printable
from smart_retail.tasks import AGE_MAX, AGE_MIN, EMOTION, GENDER, SPLITS, Task

Cells = Mapping[str, np.ndarray]
"""(N,) text by the name of our column."""
UNKNOWN_AGES = {"-1.0", "999", "-99"}
NONE: Age = (None, None, None)


def read_labels(
    cells: Cells, tasks: Sequence[Task], problems: Problems, skipped: Counter[str], notes: list[str]
) -> pd.DataFrame:
    """Return the labels of N rows, in the columns of a listing that the table has.

    Args:
        cells: text by our column.
        tasks: whose labels.
        problems: takes what cannot be read.
        skipped: takes labels that are no class of ours.
        notes: takes what was decided where a table does not tell.
    """
    found: dict[str, Any] = {}
    for task in tasks:
        if not task.is_classes:
            found |= _years(cells, task, problems, notes)
            continue
        for column in (task.name, *task.opinions):
            if column in cells:
                found[column] = _classes(cells[column], column, task.classes, problems, skipped, notes)
        votes = _votes(cells, task, problems, skipped)
        if votes is not None:
            # What most people say is the class to measure against, where the table names none.
            most = [task.classes[row.argmax()] if row.max() > 0.5 else None for row in np.nan_to_num(votes)]
            named = found.get(task.name, [None] * len(most))
            found[task.name] = [other if one is None else one for one, other in zip(named, most, strict=True)]
            found |= dict(zip(task.vote_columns, votes.T, strict=True))
    return pd.DataFrame(found)


def _classes(
    cells: np.ndarray,
    column: str,
    classes: Sequence[str],
    problems: Problems,
    skipped: Counter[str],
    notes: list[str],
) -> list[str | None]:
    """Return the class of each cell, None for a missing one and for what is none of ours; see ``read_labels``."""
    words = [word for word in pd.unique(cells) if is_number(word)]
    foreign = any(len(plain(word)) > 5 or int(plain(word)) >= len(classes) for word in words)
    others: dict[str, int] = {}

    def read(cell: str) -> str | None:
        if foreign and is_number(cell):
            raise ValueError(
                f"has numbers that are none of 0 to {len(classes) - 1}; say what they mean: values: {{{column}: "
                f"{{{plain(words[0])}: its class, ...}}}}"
            )
        try:
            return class_of(cell, column, classes)
        except NoClassOfOursError:
            others[cell] = int((cells == cell).sum())
            return None

    known = {*classes, *(word for word, name in MEANING.items() if name in classes and len(word) > 2)}
    found = read_cells(cells, read, column, problems, known)
    for word in sorted(others):
        skipped[f"{column} '{printable(plain(word))}' is none of ours"] += others[word]
    if words and not foreign and column in (GENDER.name, EMOTION.name):
        told = ", ".join(f"{number} {name}" for number, name in enumerate(classes))
        notes.append(f"numbers in the column {column} are read as {told} (change it with values: {{{column}: ...}})")
    return found


def read_splits(cells: np.ndarray, problems: Problems) -> list[str | None]:
    """Return "train", "val", "test" or "" for each cell."""

    def read(cell: str) -> str:
        word = plain(cell)
        if word in PARTS or is_empty(cell):
            return PARTS.get(word, "")
        raise ValueError(f"is none of {', '.join(SPLITS)}")

    return read_cells(cells, read, "split", problems, PARTS)


def _years(cells: Cells, task: Task, problems: Problems, notes: list[str]) -> dict[str, np.ndarray]:
    """Return years by the task's own column, and where that is empty by its two ends."""
    columns = (task.name, *task.range_columns)
    if not any(column in cells for column in columns):
        return {}
    blank = np.full(len(problems.rows), "", object)
    own, low, high = (cells.get(column, blank) for column in columns)
    commas = decimal_commas(pd.unique(own).tolist())

    def read(cell: str) -> Age:
        if is_empty(cell) or plain(cell) in UNKNOWN_AGES:
            return NONE
        return parse_age(cell.replace(",", ".") if commas and cell.count(",") == 1 else cell)

    def read_ends(cell: str) -> Age:
        ends = cell.split(", ")
        if all(map(is_empty, ends)):
            return NONE
        try:
            limits = zip(ends, (AGE_MIN, AGE_MAX), strict=True)
            youngest, oldest = (limit if is_empty(end) else float(end) for end, limit in limits)
        except ValueError as error:
            raise ValueError("is no range of whole years") from error
        return age_range(youngest, oldest)

    found = [age or NONE for age in read_cells(own, read, task.name, problems)]
    free = np.array([age is NONE for age in found])
    ends = joined({"low": np.where(free, low, ""), "high": np.where(free, high, "")}, ("low", "high"))
    ranges = read_cells(ends, read_ends, ", ".join(task.range_columns), problems)
    ages = np.array(
        [age if age is not NONE else other or NONE for age, other in zip(found, ranges, strict=True)], float
    )
    exact = ages.reshape(-1, 3)[:, 0]
    if (exact > 0).any() and np.nanmax(exact) <= 1 and (exact % 1 > 0).any():
        notes.append(f"no {task.name} is more than a year: the column must hold years, and no share of a hundred")
    return dict(zip(columns, ages.reshape(-1, 3).T, strict=True))


def _votes(cells: Cells, task: Task, problems: Problems, skipped: Counter[str]) -> np.ndarray | None:
    """Return (N, classes) shares of people's votes, which a row may tell in numbers or in shares; NaN for none.

    Rows of zeros alone are counted: their votes are for what has no column.
    """
    there = [name for name in task.vote_columns if name in cells]
    if not there:
        return None
    numbers, wrong = read_numbers(there, cells, "must be numbers of votes, or shares", problems)
    votes = np.zeros((len(numbers), len(task.classes)))
    votes[:, [task.vote_columns.index(name) for name in there]] = np.where(np.isnan(numbers), 0, numbers)
    none = ~(votes != 0).any(axis=1) & ~wrong
    if (zeros := none & ~np.isnan(numbers).all(axis=1)).any():
        skipped[f"no vote for any {task.name} of ours"] = int(zeros.sum())
    total = votes.sum(axis=1)
    odd = ~none & ~wrong & ~((votes >= 0).all(axis=1) & (total < np.inf))
    problems.add(", ".join(there), "must not be negative", joined(cells, there), odd)
    with np.errstate(all="ignore"):
        return np.where((none | wrong | odd)[:, None], np.nan, votes / total[:, None])
