"""A table of one's own faces, as CSV, Parquet or Excel: how licensed data gets in."""

from __future__ import annotations

import keyword
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.data.sources.base import Listing, Source, make_listing
from smart_retail.data.sources.columns import find_columns
from smart_retail.data.sources.label_cells import read_labels, read_splits
from smart_retail.data.sources.meanings import read_columns
from smart_retail.data.sources.places import read_places
from smart_retail.data.sources.problems import Problems
from smart_retail.data.sources.table_file import as_text, read_table
from smart_retail.data.sources.table_paths import find_files, nearby
from smart_retail.data.sources.vocabulary import is_empty
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import SPLITS, TASKS, Task, tasks_of

OVERALL = "overall"
"""What metrics call all data sets together: no data set may have this name."""


@dataclass
class FaceTable(Source):
    """A table with a column of paths and any of: a task's labels (gender, age, emotion), split, race.

    Columns and values are known by the names that people usually give them (see ``vocabulary`` and ``columns``); what
    is read under another name and what is not used is told. Where a face lies in its picture is told by the eyes and
    the mouth (left_eye_x, left_eye_y, right_eye_x, right_eye_y, mouth_x, mouth_y), by a box (left, top, right, bottom;
    x, y, w, h; xmin, ...; bbox), both in pixels, or by nothing if the files are face crops. Empty cells are missing
    labels. Gender is male or female, emotion one of the six names, age in years or as a range ("20-29", "70+", see
    ``ages.parse_age``), which ``age_low`` and ``age_high`` tell too; a task of one's own has its own classes. What
    several people said stands in a column a class (``emotion_votes_angry``, ...), in votes or shares. Values that are
    none of these are refused, all in one message. Several faces of one picture are several rows; the key of the second
    ends in ``#2``.

    Args:
        table: CSV in any dialect, Parquet, or Excel where openpyxl is installed.
        root: folder that relative paths start from; None for the folder of the table.
        name: name of the data set in tables and metrics.
        terms: under what terms the images may be used; goes into the model card.
        split: train, val or test for the rows that name none; None parts them by the shares of the config.
            With ``test`` a table is there to measure on alone.
        columns: a name of the table's to ours, ``{Geschlecht: gender}``, or to null for a column to leave out.
        values: by column what its cells mean, ``{gender: {W: female}, emotion: {7: neutral, 3: null}}``; null is a
            missing value.
    """

    table: str
    root: str | None = None
    name: str = "own"
    terms: str = "not stated"
    split: str | None = None
    columns: dict[str, str | None] | None = None
    values: dict[str, dict[Any, Any]] | None = None

    def __post_init__(self) -> None:
        """Check the settings; Python's own types are not checked by a parser.

        Raises:
            ConfigError: one cannot be.
        """
        check_name(self.name)
        for setting, told in (("columns", self.columns), ("values", self.values)):
            if told is not None and not isinstance(told, Mapping):
                example = "{theirs: ours}" if setting == "columns" else "{column: {cell: what it means}}"
                raise ConfigError(f"{setting} {str(told)[:80]!r} of data set {self.name} is no mapping: {example}")
        if self.split not in (None, *SPLITS):
            raise ConfigError(f"split {self.split!r} of data set {self.name} is none of {', '.join(SPLITS)}")

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces. See ``Source.load``."""
        file = Path(self.table).expanduser()
        frame = read_table(file)
        columns = find_columns(frame, file, tasks, self.columns)
        notes = [*frame.attrs["notes"], *columns.notes]
        problems = Problems(file, frame.index.to_numpy(), columns.wrong)
        if isinstance(next(iter(frame[columns.ours["path"]].dropna()), ""), (bytes, dict)):
            raise DataError(f"{file}: column {columns.ours['path']} holds pictures; write files, and here their paths")
        cells = read_columns(frame, columns, tasks, self.values or {}, problems)
        skipped = Counter[str]()
        faces = read_labels(cells, tasks, problems, skipped, notes).reindex(range(len(frame)))
        labelled = faces.notna().any(axis=1).to_numpy(bool)
        faces["official"] = read_splits(cells["split"], problems) if "split" in cells else ""
        if "race" in cells:
            faces["race"] = ["" if is_empty(word) else word for word in cells["race"]]
        root = Path(self.root).expanduser() if self.root else file.parent
        faces["path"], names = find_files(cells["path"].tolist(), root)
        places = {name: as_text(frame[name]) for name in columns.places.columns}
        faces = faces.assign(**read_places(columns.places, places, faces["path"].tolist(), problems, notes))
        lost = (faces["path"] == "").to_numpy()
        missing = [str(root / cells["path"][at]) for at in np.flatnonzero(lost)]
        out = (
            "Say what they mean in the source's `values: {column: {cell: class}}` (null: no value), or mend the table; "
            "`columns: {theirs: null}` leaves a column out"
        )
        first = f"{missing[0]}{nearby(Path(missing[0]))}" if missing else ""
        if missing:
            out += f"\nBesides, {len(missing):,} of its {len(lost):,} files are not there; the first: {first}"
        problems.stop(out)
        if len(missing) == len(faces):
            where = f"Set the source's `root` (now {root}) to the folder that `{columns.ours['path']}` starts from"
            where = "Addresses are not read: download the files" if "://" in cells["path"][0] else where
            what = f"none of its {len(missing)} files is there; the first was looked for at {first}"
            raise DataError(f"{file}: {what}. {where}")
        faces["key"] = _keys(names, self.name)  # of skipped rows, too: a face keeps its key when another is labelled
        if self.split:
            faces["official"] = faces["official"].where(faces["official"] != "", self.split)
        if missing:
            skipped["file not found"] = len(missing)
        if (without := ~lost & ~labelled).any():
            skipped["no label at all"] = int(without.sum())
            at = int(without.argmax())
            notes.append(f"the first face without a label: row {frame.index[at]}, {cells['path'][at]}")
        listing = make_listing(self.name, faces[labelled & ~lost], skipped, f"{self.name}: {self.terms}", tasks)
        listing.notes, listing.missing = notes, missing
        return listing


def _keys(names: Iterable[str], dataset: str) -> list[str]:
    """Return a key for each row; those of one picture are numbered."""
    met, keys = Counter[str](), []
    for name in names:
        met[name] += 1
        keys.append(f"{dataset}/{name}" if met[name] == 1 else f"{dataset}/{name}#{met[name]}")
    return keys


def check_name(name: str) -> None:
    """Check the name that a user gives to a data set; it becomes part of metric names.

    Raises:
        ConfigError: it cannot be one, or is taken.
    """
    if not str(name).isidentifier():
        raise ConfigError(f"data set name {name!r}: use letters, digits and underscores")
    if name == OVERALL or keyword.iskeyword(name):
        raise ConfigError(f"data set name {name!r} is taken; set the source's `name` to another")


def check_tables(data: Mapping[str, Any]) -> None:
    """Read the tables that a config names: what is wrong with one is told before PyTorch is loaded.

    Whatever else may be wrong with the config is left to its parser.

    Args:
        data: the section ``data`` of a config.

    Raises:
        ConfigError: a setting of a table cannot be.
        DataError: a table cannot be read.
    """
    try:
        tasks = tasks_of(data.get("tasks"))
        for source in data["sources"]:
            if str(source["class_path"]).rpartition(".")[2] == FaceTable.__name__:
                table = FaceTable(**(source.get("init_args") or {}))
                if Path(table.table).is_file():  # a run's may lie elsewhere, see ``config_files.find_data``
                    table.load(tasks)
    except (TypeError, KeyError, AttributeError):
        return
