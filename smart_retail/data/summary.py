"""What a person should know of the data before training: tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from rich.box import MINIMAL
from rich.console import Console
from rich.table import Table

from smart_retail.data.index import FaceIndex
from smart_retail.data.sources.base import labelled
from smart_retail.data.splits import contradictions
from smart_retail.tasks import SPLITS, Task

MAX_RANGES_TOLD = 20
"""Ranges of ages that are told one by one."""
GROUPS = (("same pixels", "exact"), ("near", "cluster"))


def print_summary(index: FaceIndex, console: Console | None = None) -> None:
    """Print the tables of an index: faces and labels, classes, duplicates, what was left out."""
    console = console or Console()
    faces = index.faces
    for part in (_counts(index), _classes(index), *_crowds(faces), _duplicates(index)):
        console.print(part, "")
    left_out = _table("Left out or altered", "data set", "reason", "files", text=2)
    for name, reasons in index.skipped.items():
        set_aside = faces.loc[(faces["dataset"] == name) & (faces["excluded"] != ""), "excluded"].value_counts()
        for reason, count in [*reasons.items(), *((f"training face: {r}", n) for r, n in set_aside.items())]:
            left_out.add_row(name, str(reason), f"{count:,}")
    console.print(left_out if left_out.row_count else "Nothing was left out.")
    for path, why in index.broken[:5]:
        console.print(f"unreadable or missing: {path}: {why}", style="yellow", markup=False)
    for note in index.notes:
        console.print(f"note: {note}", markup=False)
    console.print("\nTerms of use")
    for terms in index.terms:
        console.print(f"  {terms}", markup=False)
    console.print(f"\nfingerprint of the data: {index.fingerprint()}")


def _table(title: str, *columns: str, text: int = 1) -> Table:
    """Return a table that fits 80 columns; the first ``text`` columns hold words, the others numbers."""
    table = Table(title=title, title_justify="left", box=MINIMAL, padding=(0, 0, 0, 1), show_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < text else "right", no_wrap=number >= text)
    return table


def _counts(index: FaceIndex) -> Table:
    table = _table("Faces", "data set", "faces", *_names(index), *SPLITS, "aside")
    for name, part in [*index.faces.groupby("dataset", sort=False), ("all", index.faces)]:
        if name == "all":
            table.add_section()
        counts = [len(part), *(labelled(part, task).sum() for task in index.tasks)]
        counts += [(part["split"] == split).sum() for split in (*SPLITS, "")]
        table.add_row(str(name), *(f"{n:,}" for n in counts))
    table.caption, table.caption_justify = "aside: training faces that are left out, see below", "left"
    return table


def _names(index: FaceIndex) -> list[str]:
    return [task.name for task in index.tasks]


def _classes(index: FaceIndex) -> Table:
    table = _table("Training labels", "label", "share of the training faces that have it (faces)", text=2)
    train = index.part("train")
    for task in index.tasks:
        if not task.is_classes:
            _years(table, train, task)
            continue
        shares = _class_shares(train, task)
        if len(shares):
            told = zip(task.classes, shares.mean(0), shares.sum(0), strict=True)
            table.add_row(task.name, ", ".join(f"{n} {share:.0%} ({faces:,.0f})" for n, share, faces in told))
    return table


def _years(table: Table, train: pd.DataFrame, task: Task) -> None:
    if train[task.name].notna().any():
        low, first, middle, third, high = train[task.name].quantile([0, 0.25, 0.5, 0.75, 1])
        table.add_row(
            task.name, f"{low:.0f} to {high:.0f} years, median {middle:.0f}, half of them {first:.0f}-{third:.0f}"
        )
    ends = train[list(task.range_columns)].dropna().astype(int).itertuples(index=False)
    ranges = pd.Series([f"{low}-{high}" for low, high in sorted(ends)]).value_counts(normalize=True, sort=False)
    if len(ranges):
        told = [f"{years} {share:.0%}" for years, share in ranges[:MAX_RANGES_TOLD].items()]
        table.add_row(f"{task.name} range", ", ".join([*told, "..."] if len(ranges) > MAX_RANGES_TOLD else told))


def _class_shares(faces: pd.DataFrame, task: Task) -> np.ndarray:
    """Return (N, classes) shares of the faces with a label: one of them, or people's votes."""
    faces = faces[labelled(faces, task)]
    shares = np.eye(len(task.classes))[faces[task.name].fillna(0).to_numpy(int)]
    votes = faces[list(task.vote_columns)].to_numpy(np.float64)
    return np.where(np.isnan(votes), shares, votes)


def _crowds(faces: pd.DataFrame) -> list[str]:
    """Return a line for each data set whose pictures people voted on, beside its own labels."""
    lines: list[str] = []
    if not {"emotion_crowd", "emotion_original"} <= set(faces):
        return lines
    for name, part in faces.groupby("dataset", sort=False):
        crowd, original = part["emotion_crowd"], part["emotion_original"]
        if crowd.notna().any():
            differ = int((crowd != original).sum())
            lines.append(
                f"{name}: of {len(part):,} faces most people name another emotion than the data set for {differ:,}; "
                f"for {crowd.isna().sum():,} no emotion has a majority"
            )
    return lines


def _duplicates(index: FaceIndex) -> Table | str:
    table = _table("Duplicates", "data set", "duplicates", "groups", "files", *_names(index), "leaks", text=2)
    for name, part in index.faces.groupby("dataset", sort=False):
        for kind, column in GROUPS:
            sizes = part.groupby(column)["key"].transform("size")
            duplicates = part[sizes > 1]
            wrong = contradictions(duplicates, index.tasks, column)
            groups = [duplicates.loc[wrong[task.name], column].nunique() for task in index.tasks]
            leaks = _leaks(part, column)
            counts = [duplicates[column].nunique(), len(duplicates), *groups, leaks]
            if any(counts):
                table.add_row(str(name), kind, *(f"{n:,}" for n in counts))
    across = (index.faces.groupby("cluster")["dataset"].nunique() > 1).sum()
    if not table.row_count:
        found = f"Groups of duplicates that reach over data sets: {across}; none within one."
        return found if across else "No duplicates were found."
    table.caption = (
        f"{', '.join(_names(index))}: groups whose labels disagree (--list names them); leaks: official validation and "
        f"test faces with a duplicate in official training; groups that reach over data sets: {across}"
    )
    table.caption_justify = "left"
    return table


def _leaks(part: pd.DataFrame, column: str) -> int:
    """Count validation and test faces with a duplicate that officially is a training face."""
    training = part.loc[part["official"] == "train", column]
    return int((part["official"].isin(["val", "test"]) & part[column].isin(training)).sum())
