"""What the cells of a table mean by the names of their columns, and by what a config says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.data.sources.columns import Columns
from smart_retail.data.sources.problems import Problems, joined
from smart_retail.data.sources.table_file import as_text
from smart_retail.data.sources.vocabulary import SYNONYMS, class_of, is_empty, is_number, plain
from smart_retail.errors import ConfigError
from smart_retail.tasks import AGE, GENDERS, Task

YES, NO = ("1", "true", "yes", "y", "t"), ("0", "-1", "false", "no", "n", "f")


def read_columns(
    frame: pd.DataFrame,
    columns: Columns,
    tasks: Sequence[Task],
    values: Mapping[str, Mapping[Any, Any]],
    problems: Problems,
) -> dict[str, np.ndarray]:
    """Return (N,) text by our column, where the words of the table are replaced by what they mean.

    Args:
        frame: the table.
        columns: names of its columns.
        tasks: whose labels are wanted.
        values: by a config: column to what its cells mean.
        problems: takes columns that contradict each other, and numbers that may be ages or groups of ages.

    Raises:
        ConfigError: ``values`` name a column or a class that there is not.
    """
    cells = {ours: as_text(frame[theirs]) for ours, theirs in columns.ours.items()}
    if columns.genders:
        cells["gender"] = _genders(frame, columns.genders, problems)
    classes = {column: task.classes for task in tasks for column in (task.name, *task.opinions)}
    ours = {theirs: name for name, theirs in columns.ours.items()} | {name: name for name in columns.ours}
    for name, told in values.items():
        if (column := ours.get(str(name).strip().lower(), "")) == "":
            raise ConfigError(f"values: {problems.file} has no column {name}; those that are used: {', '.join(ours)}")
        if not isinstance(told, Mapping):
            raise ConfigError(f"values of {column}, {str(told)[:80]!r}: no mapping, as {{cell: what it means}}")
        try:
            cells[column] = _replaced(cells[column], _meanings(dict(told), column, classes.get(column, ())))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"values of {column}, {str(told)[:80]!r}: {error}") from error
    if columns.groups and AGE.name not in {ours[str(name).strip().lower()] for name in values}:
        numbers = np.array([is_number(word) for word in cells[AGE.name]])
        if all(map(is_empty, cells[AGE.name][~numbers])):
            years, groups = f"columns: {{{columns.groups}: age}}", "values: {age: {0: 0-2, ...}}"
            why = f"may be groups or years: say `{years}` for years, `{groups}` for groups"
            problems.add(columns.groups, why, cells[AGE.name], numbers)
    return cells


def _genders(frame: pd.DataFrame, columns: Mapping[str, str], problems: Problems) -> np.ndarray:
    """Return (N,) genders by columns that say yes or no of one; of two the second speaks where the first is empty.

    Who is neither by two columns has none, which is counted.
    """
    told = {theirs: as_text(frame[theirs]) for theirs in columns.values()}
    read = []
    for gender, theirs in columns.items():
        other = next(name for name in GENDERS if name != gender)
        read.append(_replaced(told[theirs], {**dict.fromkeys(YES, gender), **dict.fromkeys(NO, other)}))
    empty = np.array([[is_empty(word) for word in words] for words in read])
    neither = np.all([words != gender for gender, words in zip(columns, read, strict=True)], axis=0) & (len(read) > 1)
    neither &= ~empty.any(axis=0)
    against = (read[0] != read[-1]) & ~empty.any(axis=0) & ~neither
    problems.add(", ".join(told), "contradict each other", joined(told, list(told)), against)
    return np.where(neither, "neither", np.where(empty[0], read[-1], read[0]))


def _replaced(cells: np.ndarray, meaning: Mapping[str, str]) -> np.ndarray:
    codes, words = pd.factorize(cells)
    return np.array([meaning.get(plain(word), word) for word in words], object)[codes]


def _meanings(given: Mapping[Any, Any], column: str, classes: Sequence[str]) -> dict[str, str]:
    """Return what a config's ``values`` say of a column: a cell in plain words to the text that stands for it.

    Raises:
        ValueError: a class is named that there is not; the message says which.
    """
    found: dict[str, str] = {}
    for key, value in given.items():
        # YAML reads an unquoted yes, no, on and off as true and false.
        names: tuple[str, ...] = (
            ("yes" if key else "no",) if isinstance(key, bool) else ("" if key is None else plain(str(key)),)
        )
        names += SYNONYMS[names[0]] if isinstance(key, bool) else ()
        text = "" if value is None else str(value)
        if classes and text:
            try:
                text = class_of(text, column, classes) or ""
            except ValueError as error:
                told = f"{key} is {text!r}, which is none of {', '.join(classes)}"
                raise ValueError(f"values: {column}: {told}") from error
        found |= dict.fromkeys(names, text)
    return found
