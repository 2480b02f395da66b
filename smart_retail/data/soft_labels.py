"""Soft labels: what teachers say of every training face, computed once and joined by the face's key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from smart_retail.data.npz import read_npz
from smart_retail.errors import ConfigError, DataError
from smart_retail.files import write_aside
from smart_retail.tasks import TASKS, Task, task_of

MAX_BYTES = 1 << 33
"""Soft labels of ten million faces."""
SoftLabels = dict[str, Tensor]
"""By task (B, width) probabilities, for a batch or for all faces of a split; a row of zeros where nothing was said."""


def tasks_said(soft: SoftLabels) -> list[str]:
    """Return the tasks that something is said on."""
    return [task for task, said in soft.items() if said.any()]


def write_soft_labels(
    path: Path, keys: list[str], soft: SoftLabels, tasks: Sequence[Task], provenance: dict[str, Any]
) -> None:
    """Write a file of soft labels, in float16.

    Args:
        path: an ``.npz`` file; written aside and renamed.
        keys: the faces' keys in the index, one for each row.
        soft: their soft labels, N rows.
        tasks: that they are of.
        provenance: plain values that tell what made them.
    """
    told = {"story": json.dumps(provenance), "tasks": json.dumps([task.to_dict() for task in tasks])}
    arrays: dict[str, Any] = {name: said.numpy().astype(np.float16) for name, said in soft.items()}
    arrays |= {name: np.array(text) for name, text in told.items()}
    with write_aside(path) as aside:
        np.savez_compressed(aside, keys=np.array(keys, np.str_), **arrays)


def read_soft_labels(path: Path, keys: list[str], tasks: Sequence[Task]) -> SoftLabels:
    """Read the soft labels of some faces.

    Args:
        path: what ``write_soft_labels`` wrote.
        keys: the faces' keys in the index.
        tasks: of the network that learns from them; one that the file does not know gets rows of zeros.

    Returns:
        float16 probabilities, a row for each key.

    Raises:
        DataError: the file is missing or damaged, or does not know all of the faces.
    """
    if not path.is_file():
        raise DataError(f"data.soft_labels {path}: no such file; smart-retail soften makes it")
    arrays = read_npz(path, MAX_BYTES)
    known = arrays.pop("keys", np.empty(0))
    wanted = {task.name: (known.size, task.width) for task in tasks if task.name in arrays}
    if known.dtype.kind != "U" or known.ndim != 1 or not wanted:
        raise DataError(f"data.soft_labels {path} is no file of soft labels; smart-retail soften makes it")
    classes = _classes(arrays.get("tasks"), path)
    for task in tasks:
        if task.name in wanted and classes.get(task.name) != task.classes:
            raise DataError(f"data.soft_labels {path}: {task.name} has other classes than data.tasks; make it anew")
    for name, shape in wanted.items():
        if arrays[name].dtype.kind != "f" or arrays[name].shape != shape:
            raise DataError(
                f"data.soft_labels {path}: {name} is {arrays[name].shape}, not {shape}; make it anew with "
                "smart-retail soften and this config"
            )
    place = {str(key): row for row, key in enumerate(known)}
    unknown = [key for key in keys if key not in place]
    if unknown:
        raise DataError(
            f"data.soft_labels {path} does not know {len(unknown)} of {len(keys)} training faces (the first: "
            f"{unknown[0]}); make it anew with smart-retail soften and this config"
        )
    rows = [place[key] for key in keys]
    silent = {t.name: torch.zeros(len(keys), t.width, dtype=torch.float16) for t in tasks}
    return silent | {name: torch.from_numpy(arrays[name][rows]) for name in wanted}


def _classes(told: np.ndarray | None, path: Path) -> dict[str, tuple[str, ...]]:
    """Return the classes of each task that a file tells of; the first ones knew the default tasks alone."""
    try:
        tasks = TASKS if told is None else [task_of(task) for task in json.loads(str(told))]
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise DataError(f"data.soft_labels {path} is damaged; make it anew with smart-retail soften") from error
    return {task.name: task.classes for task in tasks}
