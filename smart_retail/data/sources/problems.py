"""All that is wrong with a table, in one message: each distinct value with its count and its first row."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from smart_retail.errors import DataError, printable

VALUES_TOLD, KINDS_TOLD = 12, 12
"""Distinct values of one kind that are told, and kinds."""
LENGTH = 40
"""Letters of a value."""
Found = TypeVar("Found")


class Problems:
    """What is wrong with the cells of a table.

    Args:
        file: the table.
        rows: (N,) the number of each row.
    """

    def __init__(self, file: Path, rows: np.ndarray) -> None:
        """Begin with none."""
        self.file, self.rows = file, rows
        self.lines: list[str] = []  # on the table as a whole
        self.found: dict[tuple[str, str], list[str]] = {}
        self.count = 0

    def add(self, column: str, why: str, cells: np.ndarray, wrong: np.ndarray, known: Iterable[str] = ()) -> None:
        """Note the cells of a column that are wrong.

        Args:
            column: its name.
            why: what is wrong with each.
            cells: (N,) text.
            wrong: (N,) bool.
            known: words of which one may have been meant.
        """
        at = np.flatnonzero(wrong)
        if not len(at):
            return
        self.count += len(at)
        codes, words = pd.factorize(cells[at])
        told = self.found.setdefault((column, why), [])
        for code, word in enumerate(words):
            inside = at[codes == code] if len(told) < VALUES_TOLD else ()
            near = difflib.get_close_matches(word.lower(), list(known), 1, 0.7) if len(told) < VALUES_TOLD else []
            told.append(_told(word, [int(self.rows[n]) for n in inside], near))

    def stop(self, way_out: str) -> None:
        """Raise what was found, if anything was.

        Raises:
            DataError: there is something wrong; ``way_out`` ends its message.
        """
        if not self.found and not self.lines:
            return
        kinds = list(self.found.items())
        lines = [
            f"  {column} {why}: {', '.join(told[:VALUES_TOLD])}"
            + (f" and {len(told) - VALUES_TOLD:,} other values" if len(told) > VALUES_TOLD else "")
            for (column, why), told in kinds[:KINDS_TOLD]
        ]
        more = [f"  and {len(kinds) - KINDS_TOLD} more kinds of mistakes"] if len(kinds) > KINDS_TOLD else []
        whole = [f"  {line}" for line in self.lines]
        what = f"{self.count:,} cell{'s' * (self.count > 1)} cannot be read" if self.count else "it cannot be read"
        raise DataError("\n".join([f"{self.file}: {what}", *whole, *lines, *more, *[way_out] * bool(self.count)]))


def _told(word: str, rows: list[int], near: list[str]) -> str:
    if not rows:
        return ""
    shown = printable(word if len(word) <= LENGTH else f"{word[:LENGTH]}...")
    where = f"row {rows[0]}" if len(rows) == 1 else f"{len(rows):,} rows, the first is row {rows[0]}"
    return f"'{shown}' ({where}{f'; near it: {near[0]}' if near else ''})"


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
    found: list[Found | None] = []
    wrong: dict[str, list[int]] = {}
    for code, word in enumerate(words):
        try:
            found.append(read(word))
        except (ValueError, OverflowError) as error:
            found.append(None)
            wrong.setdefault(str(error), []).append(code)
    for why, bad in wrong.items():
        problems.add(column, why, cells, np.isin(codes, bad), known)
    return [found[code] for code in codes]
