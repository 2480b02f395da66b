"""All that is wrong with a table, in one message: each distinct value with its count and its first row."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from smart_retail.data.sources.vocabulary import is_empty
from smart_retail.errors import DataError, printable

VALUES_TOLD, KINDS_TOLD = 12, 12
"""Distinct values of one kind that are told, and kinds."""
LENGTH = 40
"""Letters of a value."""
COMMA, THOUSANDS = r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?", r"[-+]?\d{1,3},\d{3}"
Found = TypeVar("Found")


class Problems:
    """What is wrong with the cells of a table.

    Args:
        file: the table.
        rows: (N,) the number of each row.
        lines: what is wrong with the table as a whole.
    """

    def __init__(self, file: Path, rows: np.ndarray, lines: Iterable[str] = ()) -> None:
        """Begin with none of the cells."""
        self.file, self.rows, self.lines = file, rows, list(lines)
        self.found: dict[tuple[str, str], list[str]] = {}
        self.values, self.count = Counter[tuple[str, str]](), 0

    def add(self, column: str, why: str, cells: np.ndarray, wrong: np.ndarray, known: Iterable[str] = ()) -> None:
        """Note the cells of a column that are wrong.

        Args:
            column: its name.
            why: what is wrong with each.
            cells: (N,) text.
            wrong: (N,) bool.
            known: words of which one may have been meant.
        """
        if not wrong.any():
            return
        seen = pd.Series(self.rows[wrong]).groupby(cells[wrong], sort=False).agg(["size", "first"])
        told, words = self.found.setdefault((column, why), []), list(known)
        self.count += int(wrong.sum())
        self.values[column, why] += len(seen)
        for word, count, row in seen[: VALUES_TOLD - len(told)].itertuples(name=None):
            near = difflib.get_close_matches(word.lower(), words, 1, 0.7)
            where = f"row {row}" if count == 1 else f"{count:,} rows, the first is row {row}"
            shown = printable(word if len(word) <= LENGTH else f"{word[:LENGTH]}...")
            told.append(f"'{shown}' ({where}{f'; near it: {near[0]}' if near else ''})")

    def stop(self, way_out: str) -> None:
        """Raise what was found, if anything was.

        Raises:
            DataError: there is something wrong; ``way_out`` ends its message.
        """
        if not self.found and not self.lines:
            return
        lines = list(self.lines)
        for (column, why), told in [*self.found.items()][:KINDS_TOLD]:
            more = self.values[column, why] - len(told)
            lines.append(f"{column} {why}: {', '.join(told)}" + (f" and {more:,} other values" if more else ""))
        if len(self.found) > KINDS_TOLD:
            lines.append(f"and {len(self.found) - KINDS_TOLD} more kinds of mistakes")
        what = f"{self.count:,} cell{'s' * (self.count > 1)} cannot be read" if self.count else "it cannot be read"
        raise DataError("\n  ".join([f"{self.file}: {what}", *lines]) + f"\n{way_out}" * bool(self.count))


def read_cells(
    cells: np.ndarray, read: Callable[[str], Found], column: str, problems: Problems, known: Iterable[str] = ()
) -> list[Found | None]:
    """Read each distinct cell once.

    Args:
        cells: (N,) text.
        read: of a cell's text; raises ValueError with what is wrong with it.
        column: name of the column.
        problems: takes what cannot be read; its value is None.
        known: words of which one may have been meant.
    """
    codes, words = pd.factorize(cells)
    found: list[Found | None] = [None] * len(words)
    wrong: dict[str, list[int]] = {}
    for code, word in enumerate(words):
        try:
            found[code] = read(word)
        except (ValueError, OverflowError) as error:
            wrong.setdefault(str(error), []).append(code)
    for why, bad in wrong.items():
        problems.add(column, why, cells, np.isin(codes, bad), known)
    return [found[code] for code in codes]


def joined(cells: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Return (N,) the text of several columns."""
    found = np.empty(len(cells[names[0]]), object)
    found[:] = [", ".join(row) for row in zip(*(cells[name] for name in names), strict=True)]
    return found


def read_numbers(
    names: Sequence[str], cells: Mapping[str, np.ndarray], why: str, problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, columns) numbers, NaN for missing ones, and (N,) bool: which rows hold something else.

    A decimal comma is one where a column has a cell with which it can be nothing else: "1,024" may be a thousand.

    Args:
        names: of the columns.
        cells: (N,) text by column.
        why: what is wrong with a row that is none.
        problems: takes those rows.
    """
    numbers = np.empty((len(problems.rows), len(names)))
    odd = np.zeros(numbers.shape, bool)
    for place, name in enumerate(names):
        text = pd.Series(cells[name], dtype=object, copy=True)
        commas = text[[("," in cell) for cell in cells[name]]]
        commas = commas[commas.str.fullmatch(COMMA).astype(bool)]
        if not commas.str.fullmatch(THOUSANDS).astype(bool).all():
            text[commas.index] = commas.str.replace(",", ".")
        numbers[:, place] = pd.to_numeric(text.where(text != "", None), errors="coerce").to_numpy(
            float, na_value=np.nan
        )
        empty = np.isnan(numbers[:, place])
        odd[empty, place] = [not is_empty(cell) for cell in cells[name][empty]]
    wrong = np.asarray(odd.any(axis=1))
    problems.add(", ".join(names), why, joined(cells, names), wrong)
    return numbers, wrong
