"""What the cells of a table say of faces: classes, years, votes, splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.data.sources.ages import Age, age_range, decimal_commas, parse_age
from smart_retail.data.sources.places import numbers_of
from smart_retail.data.sources.problems import Problems, read_cells
from smart_retail.data.sources.vocabulary import (
    MEANING,
    PARTS,
    SYNONYMS,
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
            found |= _years(cells, task, problems)
            continue
        for column in (task.name, *task.opinions):
            if column in cells:
                found[column] = read_classes(cells[column], column, task.classes, problems, skipped, notes)
        votes = _votes(cells, task, problems)
        if votes is not None:
            # What most people say is the class to measure against, where the table names none.
            most = [task.classes[row.argmax()] if row.max() > 0.5 else None for row in np.nan_to_num(votes)]
            named = found.get(task.name, [None] * len(most))
            found[task.name] = [other if one is None else one for one, other in zip(named, most, strict=True)]
            found |= dict(zip(task.vote_columns, votes.T, strict=True))
    return pd.DataFrame(found)


def read_classes(
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
    others: set[str] = set()

    def read(cell: str) -> str | None:
        if foreign and is_number(cell):
            raise ValueError(
                f"has numbers that are none of 0 to {len(classes) - 1}; say what they mean: values: {{{column}: "
                f"{{{plain(words[0])}: its class, ...}}}}"
            )
        try:
            return class_of(cell, column, classes)
        except NoClassOfOursError:
            others.add(cell)
            return None

    known = {*classes, *(word for word, name in MEANING.items() if name in classes and len(word) > 2)}
    found = read_cells(cells, read, column, problems, known)
    for word in sorted(others):
        skipped[f"{column} '{printable(plain(word))}' is none of ours"] += int((cells == word).sum())
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


def meanings(given: Mapping[Any, Any], column: str, classes: Sequence[str]) -> dict[str, str]:
    """Return what a config's ``values`` say of a column: a cell in plain words to the text that stands for it.

    Raises:
        ValueError: a class is named that there is not; the message says which.
    """
    found: dict[str, str] = {}
    for key, value in given.items():
        # YAML reads an unquoted yes, no, on and off as true and false.
        words = (SYNONYMS["yes" if key else "no"] + ("yes" if key else "no",)) if isinstance(key, bool) else (str(key),)
        text = "" if value is None else str(value)
        if classes and text:
            try:
                text = class_of(text, column, classes) or ""
            except ValueError as error:
                raise ValueError(
                    f"values: {column}: {key} is {text!r}, which is none of {', '.join(classes)}"
                ) from error
        found |= dict.fromkeys(("" if key is None else plain(word) for word in words), text)
    return found


def _years(cells: Cells, task: Task, problems: Problems) -> dict[str, np.ndarray]:
    """Return years by the task's own column, and where that is empty by its two ends."""
    ends = [cells.get(name) for name in task.range_columns]
    own = cells.get(task.name)
    if own is None and all(end is None for end in ends):
        return {}
    none: Age = (None, None, None)
    found: list[Age] = [none] * len(problems.rows)
    if own is not None:
        commas = decimal_commas(pd.unique(own).tolist())

        def read(cell: str) -> Age:
            if is_empty(cell) or plain(cell) in UNKNOWN_AGES:
                return none
            return parse_age(cell.replace(",", ".") if commas and cell.count(",") == 1 else cell)

        found = [none if age is None else age for age in read_cells(own, read, task.name, problems)]
    if any(end is not None for end in ends):
        free = np.array([age is none for age in found])
        blank = np.full(len(found), "", object)
        low, high = (blank if end is None else np.where(free, end, "") for end in ends)
        joined = np.array([f"{a};{b}" for a, b in zip(low, high, strict=True)], object)

        def read_ends(cell: str) -> Age:
            texts = cell.split(";")
            if all(is_empty(text) for text in texts):
                return none
            limits = zip(texts, (AGE_MIN, AGE_MAX), strict=True)
            try:
                youngest, oldest = (limit if is_empty(text) else float(text) for text, limit in limits)
            except ValueError as error:
                raise ValueError("is no range of whole years") from error
            return age_range(youngest, oldest)

        ranges = read_cells(joined, read_ends, ", ".join(task.range_columns), problems)
        found = [other if age is none and other is not None else age for age, other in zip(found, ranges, strict=True)]
    columns = (task.name, *task.range_columns)
    return dict(zip(columns, np.array(found, np.float64).reshape(-1, 3).T, strict=True))


def _votes(cells: Cells, task: Task, problems: Problems) -> np.ndarray | None:
    """Return (N, classes) shares of people's votes, which a row may tell in numbers or in shares; NaN for none."""
    there = [name for name in task.vote_columns if name in cells]
    if not there:
        return None
    read = {name: numbers_of(cells[name]) for name in there}
    votes = np.zeros((len(problems.rows), len(task.classes)))
    for place, name in enumerate(task.vote_columns):
        if name in read:
            votes[:, place] = np.nan_to_num(read[name][0], nan=0.0, posinf=np.inf, neginf=-np.inf)
    told = np.array([", ".join(row) for row in zip(*(cells[name] for name in there), strict=True)], object)
    none = np.array([all(is_empty(cells[name][at]) for name in there) for at in range(len(votes))], bool)
    wrong = np.asarray(np.column_stack([bad for _, bad in read.values()]).any(axis=1))
    title = ", ".join(there)
    problems.add(title, "must be numbers of votes, or shares", told, wrong)
    total = votes.sum(axis=1)
    odd = ~none & ~wrong & ~((votes >= 0).all(axis=1) & (total > 0) & (total < np.inf))
    problems.add(title, "must not be negative, nor all 0", told, odd)
    with np.errstate(all="ignore"):
        return np.where((none | wrong | odd)[:, None], np.nan, votes / total[:, None])
