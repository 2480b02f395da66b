"""Soft labels: what a teacher says of every training face, computed once and joined by the face's key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from smart_retail.data.cache import write_aside
from smart_retail.data.npz import read_npz
from smart_retail.errors import DataError
from smart_retail.labels import AGE_BINS, EMOTIONS, GENDERS, TASKS

WIDTHS = {"gender": len(GENDERS), "age": AGE_BINS, "emotion": len(EMOTIONS)}
MOST_BYTES = 1 << 33
"""Soft labels of ten million faces."""


class SoftLabels(NamedTuple):
    """Probabilities, for B faces of a batch or for all of a split; a row of zeros where nothing was said.

    Attributes:
        gender: (B, 2).
        age: (B, 101), over the years 0 to 100.
        emotion: (B, 6).
    """

    gender: Tensor
    age: Tensor
    emotion: Tensor

    def tasks(self) -> list[str]:
        """Return the tasks that something is said on."""
        return [task for task in TASKS if getattr(self, task).any()]


def write_soft_labels(path: Path, keys: list[str], labels: SoftLabels, story: dict[str, Any]) -> None:
    """Write a file of soft labels, in float16.

    Args:
        path: an ``.npz`` file; written aside and renamed.
        keys: the faces' keys in the index, one for each row.
        labels: their soft labels, N rows.
        story: plain values that tell what made them.
    """
    arrays = {name: value.numpy().astype(np.float16) for name, value in labels._asdict().items()}
    with write_aside(path) as aside:
        np.savez_compressed(aside, keys=np.array(keys, np.str_), story=np.array(json.dumps(story)), **arrays)


def read_soft_labels(path: Path, keys: list[str]) -> SoftLabels:
    """Read the soft labels of some faces.

    Args:
        path: what ``write_soft_labels`` wrote.
        keys: the faces' keys in the index.

    Returns:
        float16 probabilities, a row for each key.

    Raises:
        DataError: the file is missing or damaged, or does not know all of the faces.
    """
    if not path.is_file():
        raise DataError(f"data.soft_labels {path}: no such file; smart-retail soften makes it")
    arrays = read_npz(path, MOST_BYTES)
    known = arrays.pop("keys", np.empty(0))
    shapes = {name: (len(known), width) for name, width in WIDTHS.items()} if known.ndim == 1 else {}
    if known.dtype.kind != "U" or not shapes or any(not _fits(arrays.get(n), shape) for n, shape in shapes.items()):
        raise DataError(f"data.soft_labels {path} is no file of soft labels; smart-retail soften makes it")
    place = {str(key): row for row, key in enumerate(known)}
    unknown = [key for key in keys if key not in place]
    if unknown:
        raise DataError(
            f"data.soft_labels {path} does not know {len(unknown)} of {len(keys)} training faces (the first: "
            f"{unknown[0]}); make it anew with smart-retail soften and this config"
        )
    rows = [place[key] for key in keys]
    return SoftLabels(*(torch.from_numpy(arrays[name][rows]) for name in SoftLabels._fields))


def _fits(values: np.ndarray | None, shape: tuple[int, int]) -> bool:
    return values is not None and values.dtype.kind == "f" and values.shape == shape
