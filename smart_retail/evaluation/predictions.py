"""What a network says of every face of a split, as a table that everything else is computed from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from smart_retail.data.cache import write_aside
from smart_retail.errors import DataError, one_line
from smart_retail.labels import EMOTIONS, GENDERS, OTHER_LABELS

LABELS = ("gender", "age", "emotion")
GENDER_COLUMNS = [f"p_{name}" for name in GENDERS]
EMOTION_COLUMNS = [f"p_{name}" for name in EMOTIONS]
OUTPUTS = [*GENDER_COLUMNS, "age_said", "age_std", *EMOTION_COLUMNS]
ABOUT = ["key", "dataset", "race", "pose", "cluster", "twin"]
"""What is known of a face beside its labels. ``pose``: ``frontal``, ``turned``, or empty without landmarks. ``twin``:
``in training``, ``set aside`` (a training face that was left out because of it), or empty."""
COLUMNS = [*ABOUT, *LABELS, *OTHER_LABELS, *OUTPUTS]
ATTRS = ("model", "split", "data_fingerprint", "trained_on", "bundle")
CLASSES = {"gender": (GENDERS, GENDER_COLUMNS), "emotion": (EMOTIONS, EMOTION_COLUMNS)}


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet, with its ``attrs``; aside and renamed."""
    with write_aside(path) as aside:
        table.to_parquet(aside, index=False)


def read_predictions(path: Path, reference: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read what ``write_predictions`` wrote, or anyone's predictions.

    A table needs ``key`` and what somebody said: ``age_said``, ``gender_said`` and ``emotion_said`` (names
    of classes), or a probability for every class (``p_male``, ...). Labels and data sets are the table's
    own or, by ``key``, those of a reference.

    Args:
        path: Parquet, or CSV by its suffix.
        reference: predictions of the same faces by another network.

    Returns:
        ``COLUMNS``; what the file does not tell is NaN.

    Raises:
        DataError: the file is missing or damaged, lacks a column, or holds what it must not.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such predictions; smart-retail evaluate writes predictions.parquet")
    try:
        table: Any = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except Exception as error:  # pandas and pyarrow raise nearly anything on damaged files
        raise DataError(f"{path} is damaged or no table of predictions: {one_line(error)}") from error
    if "key" not in table or table.empty:
        raise DataError(f"{path} has no faces; a table of predictions names each in a column key")
    table = table.assign(key=table["key"].astype(str))
    if table["key"].duplicated().any():
        twice = table.loc[table["key"].duplicated(), "key"].iloc[0]
        raise DataError(f"{path} names a face twice: {twice}")
    for task, (names, columns) in CLASSES.items():
        _classes(table, task, names, columns, path)
    if reference is not None:
        table = _labelled_by(table, reference, path)
    frame = _complete(table, path)
    frame.attrs = {k: v for k, v in table.attrs.items() if k in ATTRS}
    return frame


def _classes(table: pd.DataFrame, task: str, names: tuple[str, ...], columns: list[str], path: Path) -> None:
    """Turn names of classes into numbers, and classes said without probabilities into certain ones, in place."""
    number = {name: i for i, name in enumerate(names)} | {str(i): i for i in range(len(names))}
    for column in (task, f"{task}_said"):
        if column in table:
            words = table[column].astype(object)
            known = words.notna() & (words.astype(str).str.strip() != "")
            plain = words[known].astype(str).str.strip().str.lower().str.removesuffix(".0")
            unknown = sorted(set(plain) - number.keys())
            if unknown:
                raise DataError(f"{path}: {column} {unknown[0]!r} is none of {', '.join(names)}")
            table[column] = plain.map(number).reindex(table.index).astype("float64")
    there = [c for c in columns if c in table]
    if there and len(there) < len(columns):
        raise DataError(f"{path} lacks {', '.join(c for c in columns if c not in table)} beside {there[0]}")
    if not there and f"{task}_said" in table:
        said = table[f"{task}_said"].to_numpy()
        certain = (said[:, None] == np.arange(len(names))).astype(float)
        table[columns] = np.where(np.isnan(said)[:, None], np.nan, certain)


def _labelled_by(table: pd.DataFrame, reference: pd.DataFrame, path: Path) -> pd.DataFrame:
    known = [*ABOUT[1:], *LABELS, *OTHER_LABELS]
    both = table["key"].isin(reference["key"])
    if not both.any():
        raise DataError(
            f"{path} names none of the faces that it is compared on; keys look like {reference['key'].iloc[0]}"
        )
    attrs = table.attrs
    outputs = [c for c in OUTPUTS if c in table]
    table = reference[["key", *known]].merge(table.loc[both, ["key", *outputs]], on="key")
    table.attrs = attrs
    return table


def _complete(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    for kind, wanted in (
        ("labels", (*LABELS, *OTHER_LABELS)),
        ("predictions", ("age_said", GENDER_COLUMNS[0], EMOTION_COLUMNS[0])),
    ):
        if not any(name in table and table[name].notna().any() for name in wanted):
            raise DataError(f"{path} has no {kind}: none of the columns {', '.join(wanted)} is there and filled")
    frame = pd.DataFrame({"key": table["key"]})
    frame["dataset"] = table["dataset"].fillna("unnamed").astype(str) if "dataset" in table else "unnamed"
    for column in ("race", "pose", "twin"):
        frame[column] = table[column].fillna("").astype(str) if column in table else ""
    # Without clusters every face is an observation of its own.
    frame["cluster"] = table["cluster"].to_numpy() if "cluster" in table else np.arange(len(table))
    for column in (*LABELS, *OTHER_LABELS, *OUTPUTS):
        values = pd.to_numeric(table[column], errors="coerce") if column in table else np.nan
        frame[column] = pd.Series(values, index=table.index).astype("float64")
        if column in table and not np.isfinite(frame[column].dropna()).all():
            raise DataError(f"{path}: {column} holds what is no number")
    for columns in (GENDER_COLUMNS, EMOTION_COLUMNS):
        said = frame[columns].dropna()
        if len(said) and ((said < -1e-6) | (said > 1 + 1e-6)).any(axis=None):
            raise DataError(f"{path}: {columns[0]}, ... must be probabilities from 0 to 1")
    return frame[COLUMNS]
