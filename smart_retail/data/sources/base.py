"""What every source of faces yields: a table of labelled files and a count of what it left out."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from smart_retail.errors import DataError
from smart_retail.labels import AGE_MAX, AGE_MIN

COLUMNS = {
    "path": "str",
    "key": "str",
    "dataset": "str",
    "official": "str",
    "gender": "Int8",
    "age": "float32",
    "emotion": "Int8",
    "race": "str",
    "crop_x": "float32",
    "crop_y": "float32",
    "crop_side": "float32",
}
"""Columns of a listing. ``path`` opens the file; ``key`` names it independently of where the data
lies. ``official`` is "train", "val", "test" or "" where the authors made no split. A missing label
is ``NA``/``NaN``. ``crop_*`` is the contract's square in pixels; ``NaN`` means the whole image."""


@dataclass
class Listing:
    """Faces of one source.

    Attributes:
        faces: one row a face, with ``COLUMNS``.
        skipped: what was left out or altered, reason to number of files.
        terms: under what terms the images may be used, for the model card.
    """

    faces: pd.DataFrame
    skipped: Counter[str] = field(default_factory=Counter)
    terms: str = ""


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
        if dtype == "float32":
            faces[column] = pd.to_numeric(faces[column], errors="coerce")
    faces["dataset"] = name
    faces = faces[list(COLUMNS)].fillna({"race": "", "official": ""}).astype(COLUMNS)
    beyond = (faces["age"] > AGE_MAX) | (faces["age"] < AGE_MIN)
    if beyond.any():
        skipped[f"age clipped to {AGE_MIN:.0f}..{AGE_MAX:.0f}"] = int(beyond.sum())
        faces["age"] = faces["age"].clip(AGE_MIN, AGE_MAX)
    return Listing(faces.sort_values("key", ignore_index=True), skipped, terms)


def find_root(root: str | None, handle: str, folder: str) -> Path:
    """Find a data set: the given root, else below ``$SMART_RETAIL_DATA``, else by kagglehub.

    Args:
        root: local folder, or None.
        handle: Kaggle handle with a pinned version, ``owner/name/versions/N``: without the version
            kagglehub asks the network even when the files are cached.
        folder: name of the data set's folder below ``$SMART_RETAIL_DATA``.

    Raises:
        DataError: the folder does not exist, or the download failed.
    """
    if root is not None:
        path = Path(root).expanduser()
        if not path.is_dir():
            raise DataError(
                f"root {path} is not a folder; set the source's `root` to where {handle.split('/')[1]} lies"
            )
        return path
    if shared := os.environ.get("SMART_RETAIL_DATA"):
        path = Path(shared).expanduser() / folder
        if path.is_dir():
            return path
    import kagglehub

    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub lets through whatever its HTTP stack raises
        name = type(error).__name__
        raise DataError(
            f"cannot download {handle} from Kaggle ({name}). With a copy at hand, set the source's `root` "
            f"to its folder, or SMART_RETAIL_DATA to the folder that holds `{folder}`"
        ) from error
