"""What every source of faces yields: a table of labelled files and a count of what it left out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.contract import Contract
from smart_retail.data.crops import CROP, LANDMARKS, face_squares
from smart_retail.errors import DataError
from smart_retail.labels import AGE_MAX, AGE_MIN, EMOTIONS

VOTES = tuple(f"votes_{name}" for name in EMOTIONS)
COLUMNS = {
    "path": "str",
    "picture": "str",
    "key": "str",
    "dataset": "str",
    "official": "str",
    "gender": "Int8",
    "age": "float32",
    "age_low": "float32",
    "age_high": "float32",
    "emotion": "Int8",
    **dict.fromkeys(VOTES, "float32"),
    "emotion_crowd": "Int8",
    "emotion_original": "Int8",
    "race": "str",
    **dict.fromkeys(CROP, "float32"),
    **dict.fromkeys(LANDMARKS, "float64"),
}
"""Columns of a listing. ``path`` opens the file; ``picture`` is the same for the faces of one picture; ``key`` names a
face independently of where the data lies. ``official`` is "train", "val", "test" or "" where the authors made no split.

A missing label is ``NA``/``NaN``. An age is exact (``age``) or a range of whole years (from ``age_low`` to
``age_high``, both inside), never both. ``votes_*`` are shares that sum to 1, which train in place of ``emotion``.
``emotion_crowd`` and ``emotion_original`` are never trained on: what most people say and what the data set says, to
measure against.

Landmarks are in pixels, and every network cuts by them as its own contract says. ``crop_*`` is a square in pixels: for
faces without landmarks their crop, for all others the framing in which duplicates are looked for, which must not
change with a contract, or splits would. All ``NaN`` means the whole image."""
FRAMING = Contract(crop="eyes")
"""Of duplicates."""


@dataclass
class Listing:
    """Faces of one source.

    Attributes:
        faces: one row a face, with ``COLUMNS``.
        skipped: what was left out or altered, reason to number of files.
        terms: under what terms the images may be used, for the model card.
        scans: what ``duplicates.scan_faces`` says of them, where the source knows.
    """

    faces: pd.DataFrame
    skipped: Counter[str] = field(default_factory=Counter)
    terms: str = ""
    scans: pd.DataFrame | None = None

    @property
    def name(self) -> str:
        """Name of the data set."""
        return str(self.faces["dataset"].iloc[0])


class Source(ABC):
    """A data set on disk. ``configs/data`` shows how each is written in YAML."""

    name: str
    """Name of the data set in tables, metrics and keys."""

    @abstractmethod
    def load(self) -> Listing:
        """List the faces; reads names and label files, not pixels.

        Raises:
            DataError: the root is missing, empty or not this data set.
        """

    def listings(self) -> list[Listing]:
        """List the faces by data set, where a source may hold several. See ``load``."""
        return [self.load()]


def make_listing(name: str, rows: list[dict[str, Any]], skipped: Counter[str], terms: str) -> Listing:
    """Build a listing from rows with a subset of ``COLUMNS``; ages beyond the range are clipped.

    Raises:
        DataError: there is no row, or a path that is no text.
    """
    if not rows:
        left_out = ", ".join(f"{n} {why}" for why, n in skipped.items()) or "nothing was found"
        raise DataError(f"data set {name}: no usable face ({left_out})")
    try:
        faces = pd.DataFrame(rows)
    except UnicodeEncodeError as error:
        raise DataError(f"data set {name}: {error.object!a} is no text in UTF-8; rename the folder") from error
    for column, dtype in COLUMNS.items():
        if column not in faces:
            faces[column] = "" if dtype == "str" else pd.NA
        if dtype.startswith("float"):
            faces[column] = pd.to_numeric(faces[column], errors="coerce")
    faces["dataset"] = name
    faces["picture"] = faces["picture"].where(faces["picture"] != "", faces["path"])
    faces = faces[list(COLUMNS)].fillna({"race": "", "official": ""}).astype(COLUMNS)
    faces[list(CROP)] = _framing(faces)
    beyond = (faces["age"] > AGE_MAX) | (faces["age"] < AGE_MIN)
    if beyond.any():
        skipped[f"age clipped to {AGE_MIN:.0f}..{AGE_MAX:.0f}"] = int(beyond.sum())
        faces["age"] = faces["age"].clip(AGE_MIN, AGE_MAX)
    for column in ("age_low", "age_high"):  # an open end, as of 70 and older, is no age that was clipped
        faces[column] = faces[column].clip(AGE_MIN, AGE_MAX)
    return Listing(faces.sort_values("key", ignore_index=True), skipped, terms)


def _framing(faces: pd.DataFrame) -> np.ndarray:
    """Return (N, 3) float32 squares in which duplicates are looked for, see ``COLUMNS``."""
    squares = face_squares(faces, FRAMING)[:, :3]
    # A profile's eyes can lie so close together that they frame no pixel: the way to the mouth does.
    thin = squares[:, 2] < 1
    squares[thin] = face_squares(faces[thin], Contract())[:, :3]
    return squares


def labelled(faces: pd.DataFrame, task: str) -> np.ndarray:
    """Return (N,) bool: which rows of a listing have a label of a task, exact, a range or votes."""
    columns = {"age": ["age", "age_low"], "emotion": ["emotion", VOTES[0]]}.get(task, [task])
    return np.asarray(faces[columns].notna().any(axis=1))


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
