"""Faces of a pack, which ``smart-retail data --pack`` wrote."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from smart_retail.data.crops import CROP, LANDMARKS
from smart_retail.data.duplicates import HASHES
from smart_retail.data.packed_images import hold_images, read_table
from smart_retail.data.sources.base import CLASS, COLUMNS, Listing, Source, label_columns
from smart_retail.errors import ConfigError, DataError, one_line
from smart_retail.tasks import AGE_MAX, AGE_MIN, SPLITS, TASKS, Task, checked, task_of

NAME = "pack.json"
FORMAT = 2
"""Of packs; no other one is read."""
MAX_BYTES = 1 << 24
"""Bytes of a pack.json."""
SHARES_OFF = 1e-3
"""By which the sum of a face's votes may miss 1: they are stored in float32."""
MAX_COORDINATE_PX = 1e6
"""Coordinates beyond this are no pixels of any image."""


@dataclass
class PackedFaces(Source):
    """All data sets of a pack, with the labels, duplicates and splits that their files had.

    No file is decoded to list them. The images are read into memory at once: loaders share them.

    Args:
        root: folder of the pack.
    """

    root: str
    name = "packed"

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces of a pack that holds one data set. See ``Source.load``."""
        first, *others = self.listings(tasks)
        if others:
            raise DataError(f"{self.root} holds {1 + len(others)} data sets: {first.name}, {others[0].name}, ...")
        return first

    def listings(self, tasks: Sequence[Task] = TASKS) -> list[Listing]:
        """List the faces by data set, in the order in which they were packed. See ``Source.listings``."""
        folder = Path(self.root).expanduser()
        about = read_about(folder)
        packed = checked(task_of(task) for task in about["tasks"])
        faces = pd.concat([_read_file(folder, file, packed) for file in about["files"]], ignore_index=True)
        names = [dataset["name"] for dataset in about["datasets"]]
        if len(faces) != about["faces"] or list(faces["dataset"].unique()) != names:
            raise DataError(f"{folder}: its files do not hold the faces that {NAME} tells of; write the pack anew")
        _check_values(faces, packed, folder)
        columns = _columns_for(faces, packed, tasks, folder)
        found = []
        for dataset in about["datasets"]:
            part = faces[faces["dataset"] == dataset["name"]].reset_index(drop=True)
            scans = part[list(HASHES)].assign(error="")
            found.append(Listing(part[columns], Counter(dataset["skipped"]), dataset["terms"], scans))
        return found


def read_about(folder: Path) -> dict[str, Any]:
    """Return what a pack tells of itself.

    Raises:
        DataError: there is no pack, or one of another version, or its description is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise DataError(
            f"{folder} is no pack: it has no {NAME}; `smart-retail data --config ... --pack FOLDER` writes one"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("it is too large")
        about = json.loads(path.read_text(encoding="utf-8"))
        form = about["format"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({one_line(error)}); copy or write the pack anew") from error
    if form != FORMAT:
        raise DataError(
            f"{path}: a pack of format {str(form)[:20]}, and this version reads {FORMAT}; write it anew with this "
            "version, or read it with the one that wrote it"
        )
    if wrong := _wrong(about):
        raise DataError(f"{path} is damaged (its {wrong} cannot be); copy or write the pack anew")
    return dict(about)


def _wrong(about: dict[str, Any]) -> str:
    """Return which part of a pack's description cannot be."""
    sound: dict[str, Callable[[], bool]] = {
        "number of faces": lambda: type(about["faces"]) is int,
        "list of data sets": lambda: all(
            d["name"].isidentifier()
            and isinstance(d["terms"], str)
            and all(type(n) is int and n > 0 for n in d["skipped"].values())
            for d in about["datasets"] or [None]
        ),
        "list of tasks": lambda: bool(checked(task_of(task) for task in about["tasks"])),
        "list of files": lambda: all(
            Path(f["name"]).name == f["name"] and type(f["bytes"]) is int and isinstance(f["sha256"], str)
            for f in about["files"] or [None]
        ),
    }
    for part, check in sound.items():
        try:
            if not check():
                return part
        except (AttributeError, TypeError, KeyError, ConfigError):
            return part
    return ""


def _read_file(folder: Path, about: dict[str, Any], tasks: Sequence[Task]) -> pd.DataFrame:
    """Read the rows of one file, with the paths of their images, and keep the images at hand."""
    path = folder / about["name"]
    if not path.is_file():
        raise DataError(f"{path}: no such file; copy or write the pack anew")
    if (size := path.stat().st_size) != about["bytes"]:
        raise DataError(f"{path}: {size:,} bytes, not {about['bytes']:,} as it was written; copy the pack anew")
    if sha256(path) != about["sha256"]:
        raise DataError(f"{path} is not as it was written (another SHA-256); copy the pack anew")
    table = read_table(path)
    try:
        images = hold_images(str(path), table)
        if not pa.types.is_binary(images.type):
            raise TypeError(f"images are {images.type}")
        faces: pd.DataFrame = table.select(stored_columns(tasks)).to_pandas()
        faces["path"] = [f"{path}#{row}" for row in range(len(faces))]
        faces = faces.astype(COLUMNS | label_columns(tasks))
    except Exception as error:  # of columns that are missing or of another kind, in many ways
        raise DataError(f"{path}: no rows of faces ({one_line(error)}); write the pack anew") from error
    empty = pc.fill_null(pc.equal(pc.binary_length(images), 0), True).to_numpy(zero_copy_only=False)
    if empty.any():
        raise DataError(f"{path}: row {empty.argmax()} ({faces['key'].iloc[empty.argmax()]}) has no image")
    return faces


def sha256(path: Path) -> str:
    """Return a file's SHA-256, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stored_columns(tasks: Sequence[Task]) -> list[str]:
    """Return the columns of a pack beside the image."""
    return [name for name in COLUMNS if name != "path"] + list(label_columns(tasks)) + list(HASHES)


def _columns_for(faces: pd.DataFrame, packed: Sequence[Task], tasks: Sequence[Task], folder: Path) -> list[str]:
    """Return the columns that some tasks need; those of tasks that the pack does not know are added, empty, in place.

    Raises:
        DataError: the pack knows one of them with other classes.
    """
    there = {column: task.classes for task in packed for column in (task.name, *task.opinions)}
    for column, classes in ((c, task.classes) for task in tasks for c in (task.name, *task.opinions)):
        if there.get(column, classes) != classes:
            raise DataError(
                f"{folder}: packed with {column} as {', '.join(there[column]) or 'years'}, not as "
                f"{', '.join(classes) or 'years'} (data.tasks); write the pack anew"
            )
    columns = COLUMNS | label_columns(tasks)
    for name, kind in columns.items():
        if name not in faces:
            faces[name] = pd.Series(pd.NA if kind == CLASS else float("nan"), index=faces.index, dtype=kind)
    return list(columns)


def _check_values(faces: pd.DataFrame, tasks: Sequence[Task], folder: Path) -> None:
    bad: dict[Any, Any] = {}
    for task in tasks:
        if not task.is_classes:
            low, high = task.range_columns
            years = faces[[task.name, low, high]]
            bad |= {name: ~years[name].fillna(AGE_MIN).between(AGE_MIN, AGE_MAX) for name in years}
            bad[high] |= (years[low].isna() != years[high].isna()) | (years[low] > years[high])
            continue
        for name in (task.name, *task.opinions):
            bad[name] = ~faces[name].fillna(0).between(0, len(task.classes) - 1)
        votes = faces[list(task.vote_columns)]
        given, total = votes.notna().sum(axis=1), votes.fillna(0).sum(axis=1)
        shares = votes.ge(0).all(axis=1) & (total - 1).abs().lt(SHARES_OFF)  # each is at most 1 then
        bad[f"votes on {task.name}"] = ~((given == 0) | ((given == len(task.classes)) & shares))
    bad |= {"official": ~faces["official"].isin(["", *SPLITS]), "key": faces["key"].duplicated()}
    bad |= {name: ~faces[name].fillna(0).between(-MAX_COORDINATE_PX, MAX_COORDINATE_PX) for name in (*CROP, *LANDMARKS)}
    bad[CROP[2]] |= faces[CROP[2]] <= 0
    bad |= {name: faces[name].map(lambda h, n=n: not isinstance(h, bytes) or len(h) != n) for name, n in HASHES.items()}
    for name, rows in bad.items():
        if rows.any():
            raise DataError(f"{folder}: the {name} of face {rows.to_numpy().argmax()} cannot be; write the pack anew")
