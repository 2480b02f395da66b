"""Training, validation and test faces: official splits honoured, duplicates kept together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from smart_retail.errors import ConfigError
from smart_retail.tasks import Task

RANK = {"test": 2, "val": 1, "train": 0}
LEAKED = "duplicate in val or test"
CONTRADICTORY = "contradictory labels"
REPEATED = "repeats a duplicate"
AGE_TOLERANCE = 0.0
"""Years by which the ages of one cluster may differ before they count as contradictory."""


def assign_splits(
    faces: pd.DataFrame, *, val_share: float, test_share: float, seed: int, drop_leaks: bool
) -> pd.DataFrame:
    """Put every face into training, validation or test.

    Official splits stay. Where the authors made a validation part but the test part is missing (the
    usual copy of FER2013 without PrivateTest), the validation part becomes the test and a share of
    training becomes validation. Data sets without an official split are split by cluster: the hash
    of the first key of the cluster's pictures decides, so adding a data set or a picture moves no other
    face, and the faces of one picture stay together unless they have duplicates elsewhere.

    A cluster is never split: its faces go where its most protected face is (test, then validation),
    except that officially assigned faces never change sides. Those are set aside (or kept, without
    ``drop_leaks``): a training face whose duplicate is tested teaches the test.

    Args:
        faces: listing with ``key``, ``picture``, ``dataset``, ``official``, ``cluster``.
        val_share: share of clusters for validation where there is no official one.
        test_share: likewise for the test.
        seed: another seed, another split.
        drop_leaks: set aside the faces whose official side is not their cluster's.

    Returns:
        ``split`` ("train", "val", "test"; "" for faces set aside), ``leaks`` (bool: the face's
        cluster is also on a more protected side) and ``excluded`` (reason or "").

    Raises:
        ConfigError: the shares leave no training faces.
    """
    if not (0 <= val_share < 1 and 0 <= test_share < 1 and val_share + test_share < 1):
        raise ConfigError(f"val_share {val_share} and test_share {test_share} must leave something for training")
    official = faces["official"].to_numpy(dtype=object)
    official = np.where((official == "val") & ~_has(faces, "test"), "test", official)
    has_val = _has(faces, "val") & _has(faces, "test")
    free = official == ""
    carvable = (official == "train") & ~has_val
    position = _position(faces, seed)
    ours = np.where(position < test_share, "test", np.where(position < test_share + val_share, "val", "train"))
    carved = np.where(position < val_share, "val", "train")
    side = np.where(free, ours, np.where(carvable, carved, official))
    top = _rank(side, faces).groupby(faces["cluster"]).transform("max")
    follows = free | carvable & (top == RANK["val"]).to_numpy()
    side = np.where(follows, top.map({rank: split for split, rank in RANK.items()}), side)
    leaks = (_rank(side, faces) < top).to_numpy()
    dropped = leaks & drop_leaks
    return pd.DataFrame(
        {"split": np.where(dropped, "", side), "leaks": leaks, "excluded": np.where(dropped, LEAKED, "")},
        index=faces.index,
    )


def _has(faces: pd.DataFrame, split: str) -> np.ndarray:
    """Whether the authors of a face's data set made this part of a split; (N,) bool."""
    return (faces["official"] == split).groupby(faces["dataset"]).transform("any").to_numpy(bool)


def _rank(side: np.ndarray, faces: pd.DataFrame) -> pd.Series:
    return pd.Series(side, index=faces.index).map(RANK)


def _position(faces: pd.DataFrame, seed: int) -> np.ndarray:
    """Return a number in [0, 1) for each face, the same for a whole cluster and for all faces of a picture."""
    picture = faces.groupby(["dataset", "picture"], sort=False)["key"].transform("min")
    first = picture.groupby(faces["cluster"]).transform("min")
    digest = {k: hashlib.blake2b(f"{seed}:{k}".encode(), digest_size=8).digest() for k in first.unique()}
    return first.map(lambda k: int.from_bytes(digest[k], "big") / 2**64).to_numpy(np.float64)


def contradictions(faces: pd.DataFrame, tasks: Sequence[Task], cluster: str = "cluster") -> pd.DataFrame:
    """Mark faces in clusters whose labels disagree.

    Args:
        faces: listing with the labels and a column of cluster numbers.
        tasks: whose labels.
        cluster: name of that column.

    Returns:
        A boolean column for each task, one row a face.
    """
    marks = {}
    for task in tasks:
        # Ranges of ages agree as long as one age lies in all of them.
        ends = (task.name, task.name) if task.is_classes else task.range_columns
        low, high = (faces[task.name].fillna(faces[end]) for end in ends)
        spread = low.groupby(faces[cluster]).transform("max") - high.groupby(faces[cluster]).transform("min")
        limit = 0 if task.is_classes else AGE_TOLERANCE
        marks[task.name] = spread.astype("float64").fillna(0) > limit
    return pd.DataFrame(marks)


def exclude_training(faces: pd.DataFrame, rows: pd.Series, reason: str) -> None:
    """Set the marked training faces aside, in place; validation and test stay as they are."""
    rows = rows & (faces["split"] == "train")
    faces.loc[rows, "split"] = ""
    faces.loc[rows, "excluded"] = reason
