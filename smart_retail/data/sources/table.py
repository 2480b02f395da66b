"""A CSV or Parquet file of one's own faces: how licensed data gets in."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.contract import Contract
from smart_retail.data.crops import CROP, LANDMARKS, square_from_box, square_from_landmarks
from smart_retail.data.sources.ages import Age, age_range, parse_age
from smart_retail.data.sources.base import Listing, Source, label_columns, make_listing
from smart_retail.errors import ConfigError, DataError, one_line
from smart_retail.tasks import AGE_MAX, AGE_MIN, SPLITS, TASKS, Task

BOX = ("left", "top", "right", "bottom")
PATHS = ("file", "image", "filename")
"""What the column of paths may be called besides ``path``."""
MAX_COORDINATE_PX = 1e6
"""Coordinates beyond this are no pixels of any image."""
OVERALL = "overall"
"""What metrics call all data sets together: no data set may have this name."""


@dataclass
class FaceTable(Source):
    """A table with a column ``path`` and any of: a task's labels (gender, age, emotion), split, race.

    The column may be called ``file``, ``image`` or ``filename`` where there is no ``path`` and only one of those.
    Where a face lies in its image is told by six landmark columns (left_eye_x, left_eye_y,
    right_eye_x, right_eye_y, mouth_x, mouth_y), by a box (left, top, right, bottom), both in pixels,
    or by nothing if the files are face crops. Empty cells are missing labels. Gender is male or
    female (or 0, 1), emotion one of the six names (or 0 to 5), age in years or as a range ("20-29", "70+", see
    ``ages.parse_age``), which ``age_low`` and ``age_high`` tell too; a task of one's own has its own classes. What
    several people said stands in a column a class (``emotion_votes_angry``, ...), in votes or shares. A value that is
    none of these stops with its row. Neither case nor spaces around column names matter. Several faces of one
    picture are several rows; the key of the second ends in ``#2``.

    Args:
        table: the CSV or Parquet file.
        root: folder that relative paths start from; None for the folder of the table.
        name: name of the data set in tables and metrics.
        terms: under what terms the images may be used; goes into the model card.
        split: train, val or test for the rows that name none; None parts them by the shares of the config.
            With ``test`` a table is there to measure on alone.
    """

    table: str
    root: str | None = None
    name: str = "own"
    terms: str = "not stated"
    split: str | None = None

    def __post_init__(self) -> None:
        """Check name and split."""
        check_name(self.name)
        if self.split not in (None, *SPLITS):
            raise ConfigError(f"split {self.split!r} of data set {self.name} is none of {', '.join(SPLITS)}")

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces. See ``Source.load``."""
        file = Path(self.table).expanduser()
        frame = read_table(file)
        column = path_column(frame, file)
        if not set(label_columns(tasks)) & set(frame.columns):
            named = [name for task in tasks for name in (task.name, *(() if task.is_classes else task.range_columns))]
            raise DataError(f"{file}: none of the label columns {', '.join(named)} is there")
        root = Path(self.root).expanduser() if self.root else file.parent
        skipped, met = Counter[str](), Counter[str]()
        rows = []
        first = None
        for number, values in enumerate(frame.to_dict("records"), start=2):
            cells, where = {str(k): v for k, v in values.items()}, f"{file}, row {number}"
            labels = label_cells(cells, tasks, where)
            row = labels | _about(cells, where) | face_place(cells, where)
            path, key = root / str(values[column]), f"{self.name}/{values[column]}"
            met[key] += 1  # of skipped rows, too: a face keeps its key when another is labelled
            if met[key] > 1:
                key = f"{key}#{met[key]}"
            if not path.is_file():
                skipped["file not found"] += 1
                first = first or path
                continue
            if all(value is None for value in labels.values()):
                skipped["no label at all"] += 1
                continue
            row["official"] = row["official"] or self.split or ""
            rows.append(row | {"path": str(path), "key": key})
        if first and skipped["file not found"] == len(frame):
            raise DataError(
                f"{file}: none of its {len(frame)} files is there; the first was looked for at {first}. Set the "
                f"source's `root` (now {root}) to the folder that the column `{column}` starts from"
            )
        return make_listing(self.name, rows, skipped, f"{self.name}: {self.terms}", tasks)


def check_name(name: str) -> None:
    """Check the name that a user gives to a data set; it becomes part of metric names.

    Raises:
        ConfigError: it cannot be one, or is taken.
    """
    if not name.isidentifier():
        raise ConfigError(f"data set name {name!r}: use letters, digits and underscores")
    if name == OVERALL or keyword.iskeyword(name):
        raise ConfigError(f"data set name {name!r} is taken; set the source's `name` to another")


def read_table(file: Path, **options: Any) -> pd.DataFrame:
    """Read a CSV or Parquet file; names of columns come out in lower case, without spaces around them.

    The table's ``attrs["spelling"]`` has the names as the file spells them, in the same order.

    Args:
        file: to be read; all but ``.parquet`` is CSV.
        options: for ``pandas.read_csv``.

    Raises:
        DataError: it is missing, damaged, or has two columns of one name.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file; set the source's `table` to a CSV or Parquet file")
    try:
        frame = (
            pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, skipinitialspace=True, **options)
        )
    except Exception as error:  # pandas and pyarrow raise nearly anything on damaged files
        raise DataError(f"{file}: not readable as {file.suffix or 'CSV'} ({one_line(error)})") from error
    spelling = [str(name).strip() for name in frame.columns]
    frame.columns = pd.Index([name.lower() for name in spelling])
    frame.attrs["spelling"] = spelling
    if twice := sorted(set(frame.columns[frame.columns.duplicated()])):
        raise DataError(f"{file}: more than one column is called {', '.join(twice)[:200]}; keep one of each")
    return frame


def path_column(frame: pd.DataFrame, file: Path) -> str:
    """Return the name of the column that names the image files.

    Raises:
        DataError: there is none, or there are several without one called ``path``.
    """
    found = ["path"] if "path" in frame else [name for name in PATHS if name in frame]
    if len(found) > 1:
        raise DataError(f"{file}: {' and '.join(found)} could each be the column of paths; call one of them `path`")
    if not found:
        one = " (commas must part the columns)" if len(frame.columns) == 1 else ""
        raise DataError(
            f"{file}: no column `path` (or {', '.join(PATHS)}); it has {', '.join(frame.columns[:20])[:200]}{one}"
        )
    return found[0]


def label_cells(values: Mapping[str, Any], tasks: Sequence[Task], where: str) -> dict[str, Any]:
    """Return the labels of a row; None for those that are not there.

    Raises:
        DataError: one is none of the task's; ``where`` begins the message.
    """
    found: dict[str, Any] = {}
    for task in tasks:
        if task.is_classes:
            for column in (task.name, *task.opinions):
                found[column] = class_name(values.get(column), task.classes, f"{where}: {column}")
            votes = _votes(values, task, where)
            if found[task.name] is None and votes and max(votes.values()) > 0.5:
                # What most people say is the class to measure against, where the table names none.
                found[task.name] = task.classes[int(np.argmax(list(votes.values())))]
            found |= votes
            continue
        try:
            found |= dict(zip((task.name, *task.range_columns), _years(values, task), strict=True))
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where}: {task.name} {error}") from error
    return found


def _about(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    split = values.get("split")
    split = "" if is_empty(split) else str(split).strip()
    if split not in ("", *SPLITS):
        raise DataError(f"{where}: split {_shown(split)} is none of {', '.join(SPLITS)}")
    race = values.get("race")
    return {"official": split, "race": "" if is_empty(race) else str(race)}


def _years(values: Mapping[str, Any], task: Task) -> Age:
    """Return the years of a row: by the task's column, and where that is empty by its two ends."""
    if not is_empty(age := values.get(task.name)):
        return parse_age(str(age))
    ends = [values.get(column) for column in task.range_columns]
    if all(is_empty(end) for end in ends):
        return None, None, None
    low, high = (
        limit if is_empty(end) else float(str(end)) for end, limit in zip(ends, (AGE_MIN, AGE_MAX), strict=True)
    )
    return age_range(low, high)


def _votes(values: Mapping[str, Any], task: Task, where: str) -> dict[str, float]:
    """Return the shares of people's votes, which a row may tell in numbers or in shares."""
    cells = [values.get(column) for column in task.vote_columns]
    if all(is_empty(cell) for cell in cells):
        return {}
    try:
        votes = np.array([0.0 if is_empty(cell) else float(str(cell)) for cell in cells])
    except ValueError as error:
        raise DataError(f"{where}: {', '.join(task.vote_columns)} must be numbers of votes, or shares") from error
    if not (votes >= 0).all() or not 0 < votes.sum() < np.inf:
        raise DataError(f"{where}: {', '.join(task.vote_columns)} are {', '.join(f'{v:g}' for v in votes)}")
    return dict(zip(task.vote_columns, (votes / votes.sum()).tolist(), strict=True))


def is_empty(value: object) -> bool:
    """Whether a cell has no value."""
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))  # type: ignore[call-overload]


def _shown(value: object) -> str:
    return repr(value)[:80]


def class_name(value: object, names: tuple[str, ...], where: str) -> str | None:
    """Return the class that a cell gives by its name or its number, None for an empty cell.

    Raises:
        DataError: it is none of the names; ``where`` begins the message.
    """
    if is_empty(value):
        return None
    text = str(value).strip().lower().removesuffix(".0")
    if text in names:
        return text
    if text.isascii() and text.isdecimal() and int(text) < len(names):
        return names[int(text)]
    raise DataError(f"{where} {_shown(value)} is none of {', '.join(names)} (or 0 to {len(names) - 1})")


def face_place(values: dict[str, Any], where: str) -> dict[str, float]:
    """Return the landmarks of a row, or the square of its box, or nothing for a file that is a crop.

    Raises:
        DataError: they are no numbers or no face's; ``where`` begins the message.
    """
    for columns in (LANDMARKS, BOX):
        if not set(columns) <= set(values):
            continue
        try:
            numbers = np.array([float(values[c]) for c in columns])
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{where}: {', '.join(columns)} must be numbers (pixels)") from error
        if np.isnan(numbers).all():
            continue
        if columns is LANDMARKS:
            square = square_from_landmarks(numbers[:2], numbers[2:4], numbers[4:], Contract())
            if np.array_equal(numbers[:2], numbers[2:4]):
                raise DataError(f"{where}: both eyes are at {numbers[0]:g}, {numbers[1]:g}; give each its own place")
        else:
            left, top, right, bottom = numbers
            if right <= left or bottom <= top:
                raise DataError(
                    f"{where}: left, top, right, bottom are {left:g}, {top:g}, {right:g}, {bottom:g}; right must be "
                    "more than left and bottom more than top (a width and a height must be added to left and top)"
                )
            square = square_from_box(left, top, right, bottom)
        # Not a number fails the comparison too.
        if not (np.abs(square) < MAX_COORDINATE_PX).all() or square.side < 1:
            raise DataError(f"{where}: {', '.join(columns)} do not make a square in the image")
        found = (LANDMARKS, numbers) if columns is LANDMARKS else (CROP, square[:3])
        return dict(zip(*found, strict=True))
    return {}
