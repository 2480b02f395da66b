"""What every source of faces yields: a table of labelled files and a count of what it left out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from smart_retail.contract import Contract
from smart_retail.data.crops import CROP, LANDMARKS, face_squares
from smart_retail.errors import DataError
from smart_retail.tasks import AGE_MAX, AGE_MIN, TASKS, Task

COLUMNS = {
    "path": "str",
    "picture": "str",
    "key": "str",
    "dataset": "str",
    "official": "str",
    "race": "str",
    **dict.fromkeys(CROP, "float32"),
    **dict.fromkeys(LANDMARKS, "float64"),
}
"""Columns of a listing beside its labels. ``path`` opens the file; ``picture`` is the same for the faces of one
picture; ``key`` names a face independently of where the data lies. ``official`` is "train", "val", "test" or "" where
the authors made no split.

Landmarks are in pixels, and every network cuts by them as its own contract says. ``crop_*`` is a square in pixels: for
faces without landmarks their crop, for all others the framing in which duplicates are looked for, which must not
change with a contract, or splits would. All ``NaN`` means the whole image."""
CLASS = "Int16"


def label_columns(tasks: Iterable[Task]) -> dict[str, str]:
    """Return the columns with the labels of some tasks, and their types.

    A missing label is ``NA``/``NaN``. Of classes there is the number of the class, shares of people's votes, which sum
    to 1 and train in place of the class, and opinions, which are measured against and never trained on. Years are exact
    or a range of whole years (both ends inside), never both.
    """
    found: dict[str, str] = {}
    for task in tasks:
        if task.is_classes:
            found |= {task.name: CLASS} | dict.fromkeys(task.vote_columns, "float32")
            found |= dict.fromkeys(task.opinions, CLASS)
        else:
            found |= dict.fromkeys((task.name, *task.range_columns), "float32")
    return found


FRAMING = Contract(crop="eyes")
"""Of duplicates."""


@dataclass
class Listing:
    """Faces of one source.

    Attributes:
        faces: one row a face, with ``COLUMNS`` and ``label_columns``.
        skipped: what was left out or altered, reason to number of files.
        terms: under what terms the images may be used, for the model card.
        scans: what ``duplicates.scan_faces`` says of them, where the source knows.
        missing: paths of files that are named, but not there; they count as broken ones.
        notes: what a person should know of how the labels were read.
    """

    faces: pd.DataFrame
    skipped: Counter[str] = field(default_factory=Counter)
    terms: str = ""
    scans: pd.DataFrame | None = None
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the data set."""
        return str(self.faces["dataset"].iloc[0])


class Source(ABC):
    """A data set on disk. ``configs/data`` shows how each is written in YAML."""

    name: str
    """Name of the data set in tables, metrics and keys."""

    @abstractmethod
    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces; reads names and label files, not pixels.

        Args:
            tasks: to give labels for, as far as the data set has them.

        Raises:
            DataError: the root is missing, empty or not this data set.
        """

    def listings(self, tasks: Sequence[Task] = TASKS) -> list[Listing]:
        """List the faces by data set, where a source may hold several. See ``load``."""
        return [self.load(tasks)]


def make_listing(
    name: str,
    rows: list[dict[str, Any]] | pd.DataFrame,
    skipped: Counter[str],
    terms: str,
    tasks: Sequence[Task] = TASKS,
) -> Listing:
    """Build a listing from rows with some of its columns; years beyond the range are clipped.

    Labels of classes are numbers, or names, which must be the task's. Columns of other tasks are left out.

    Raises:
        DataError: there is no row, a path that is no text, or a class that the task does not have.
    """
    if not len(rows):
        left_out = ", ".join(f"{n} {why}" for why, n in skipped.items()) or "nothing was found"
        raise DataError(f"data set {name}: no usable face ({left_out})")
    try:
        faces = pd.DataFrame(rows).reset_index(drop=True)
    except UnicodeEncodeError as error:
        raise DataError(f"data set {name}: {error.object!a} is no text in UTF-8; rename the folder") from error
    columns = COLUMNS | label_columns(tasks)
    for task in tasks:
        for column in (task.name, *task.opinions) if task.is_classes else ():
            if column in faces and not is_numeric_dtype(faces[column]):
                faces[column] = _numbers(faces, column, task.classes, name)
    for task in tasks:
        if there := [name for name in task.vote_columns if name in faces]:
            voted = faces[there].notna().any(axis=1)
            for name in set(task.vote_columns) - set(there):
                faces[name] = voted.map({True: 0.0, False: None})
    for column, dtype in columns.items():
        if column not in faces:
            faces[column] = "" if dtype == "str" else pd.NA
        if dtype.startswith("float"):
            faces[column] = pd.to_numeric(faces[column], errors="coerce")
    faces["dataset"] = name
    faces["picture"] = faces["picture"].where(faces["picture"] != "", faces["path"])
    faces = faces[list(columns)].fillna({"race": "", "official": ""}).astype(columns)
    faces[list(CROP)] = _framing(faces)
    for task in tasks:
        if task.is_classes:
            continue
        beyond = (faces[task.name] > AGE_MAX) | (faces[task.name] < AGE_MIN)
        if beyond.any():
            skipped[f"{task.name} clipped to {AGE_MIN:.0f}..{AGE_MAX:.0f}"] = int(beyond.sum())
            faces[task.name] = faces[task.name].clip(AGE_MIN, AGE_MAX)
        for column in task.range_columns:  # an open end, as of 70 and older, is no age that was clipped
            faces[column] = faces[column].clip(AGE_MIN, AGE_MAX)
    return Listing(faces.sort_values("key", ignore_index=True), skipped, terms)


def _numbers(faces: pd.DataFrame, column: str, classes: Sequence[str], name: str) -> pd.Series:
    """Return the numbers of classes that are given by name.

    Raises:
        DataError: one is none of the task's.
    """
    number = {word: i for i, word in enumerate(classes)}
    given = faces[column]
    words = given.map(lambda value: isinstance(value, str))
    if (unknown := words & ~given.isin(classes)).any():
        face = faces[unknown].iloc[0]
        raise DataError(
            f"data set {name}: {column} {face[column]!r} of {face['key']} is none of the classes "
            f"{', '.join(classes)} (data.tasks)"
        )
    return given.astype(object).map(lambda value: number[value] if isinstance(value, str) else value)


def _framing(faces: pd.DataFrame) -> np.ndarray:
    """Return (N, 3) float32 squares in which duplicates are looked for, see ``COLUMNS``."""
    squares = face_squares(faces, FRAMING)[:, :3]
    # A profile's eyes can lie so close together that they frame no pixel: the way to the mouth does.
    thin = squares[:, 2] < 1
    squares[thin] = face_squares(faces[thin], Contract())[:, :3]
    return squares


def labelled(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return (N,) bool: which rows of a listing have a label of a task, exact, a range or votes."""
    other = task.vote_columns[0] if task.is_classes else task.range_columns[0]
    return np.asarray(faces[[task.name, other]].notna().any(axis=1))


def find_root(root: str | None, handle: str, folder: str) -> Path:
    """Find a data set: the given root, else below ``$SMART_RETAIL_DATA``, else by kagglehub.

    Args:
        root: local folder, or None.
        handle: Kaggle handle with a pinned version, ``owner/name/versions/N``: without the version
            kagglehub asks the network even when the files are cached. Or the address of a page, of a data set
            that people have to get there.
        folder: name of the data set's folder below ``$SMART_RETAIL_DATA``.

    Raises:
        DataError: the folder does not exist, or the download failed.
    """
    if root is not None:
        path = Path(root).expanduser()
        if not path.is_dir():
            raise DataError(f"root {path} is not a folder; set the source's `root` to where {folder} lies")
        return path
    if shared := os.environ.get("SMART_RETAIL_DATA"):
        path = Path(shared).expanduser() / folder
        if path.is_dir():
            return path
    if "://" in handle:
        raise DataError(
            f"no {folder} here: get it from {handle}, then set the source's `root` to its folder, or SMART_RETAIL_DATA "
            f"to the folder that holds `{folder}`"
        )
    import kagglehub

    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub lets through whatever its HTTP stack raises
        name = type(error).__name__
        raise DataError(
            f"cannot download {handle} from Kaggle ({name}). With a copy at hand, set the source's `root` "
            f"to its folder, or SMART_RETAIL_DATA to the folder that holds `{folder}`"
        ) from error
