"""Soft targets: what teachers predict of every training face, computed once and joined by the face's key."""

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
"""Soft targets of ten million faces."""
SoftTargets = dict[str, Tensor]
"""By task (B, width) probabilities, for a batch or for all faces of a split; a row of zeros where there is none."""


def taught_tasks(soft: SoftTargets) -> list[str]:
    """Return the tasks that there are targets for."""
    return [task for task, targets in soft.items() if targets.any()]


def write_soft_targets(
    path: Path, keys: list[str], soft: SoftTargets, tasks: Sequence[Task], provenance: dict[str, Any]
) -> None:
    """Write a file of soft targets, in float16.

    Args:
        path: an ``.npz`` file; written aside and renamed.
        keys: the faces' keys in the index, one for each row.
        soft: their soft targets, N rows.
        tasks: that they are of.
        provenance: plain values that tell what made them.
    """
    told = {"provenance": json.dumps(provenance), "tasks": json.dumps([task.to_dict() for task in tasks])}
    arrays: dict[str, Any] = {name: targets.numpy().astype(np.float16) for name, targets in soft.items()}
    arrays |= {name: np.array(text) for name, text in told.items()}
    with write_aside(path) as aside:
        np.savez_compressed(aside, keys=np.array(keys, np.str_), **arrays)


def read_soft_targets(path: Path, keys: list[str], tasks: Sequence[Task]) -> SoftTargets:
    """Read the soft targets of some faces.

    Args:
        path: what ``write_soft_targets`` wrote.
        keys: the faces' keys in the index.
        tasks: of the network that learns from them; one that the file does not know gets rows of zeros.

    Returns:
        float16 probabilities, a row for each key.

    Raises:
        DataError: the file is missing or damaged, or does not know all of the faces.
    """
    if not path.is_file():
        raise DataError(f"data.soft_targets {path}: no such file; smart-retail soft_targets makes it")
    arrays = read_npz(path, MAX_BYTES)
    known = arrays.pop("keys", np.empty(0))
    wanted = {task.name: (known.size, task.width) for task in tasks if task.name in arrays}
    if known.dtype.kind != "U" or known.ndim != 1 or not wanted:
        raise DataError(f"data.soft_targets {path} is no file of soft targets; smart-retail soft_targets makes it")
    classes = _classes(arrays.get("tasks"), path)
    for task in tasks:
        if task.name in wanted and classes.get(task.name) != task.classes:
            raise DataError(f"data.soft_targets {path}: {task.name} has other classes than data.tasks; make it anew")
    for name, shape in wanted.items():
        if arrays[name].dtype.kind != "f" or arrays[name].shape != shape:
            raise DataError(
                f"data.soft_targets {path}: {name} is {arrays[name].shape}, not {shape}; make it anew with "
                "smart-retail soft_targets and this config"
            )
    place = {str(key): row for row, key in enumerate(known)}
    unknown = [key for key in keys if key not in place]
    if unknown:
        raise DataError(
            f"data.soft_targets {path} does not know {len(unknown)} of {len(keys)} training faces (the first: "
            f"{unknown[0]}); make it anew with smart-retail soft_targets and this config"
        )
    rows = [place[key] for key in keys]
    none = {t.name: torch.zeros(len(keys), t.width, dtype=torch.float16) for t in tasks}
    return none | {name: torch.from_numpy(arrays[name][rows]) for name in wanted}


def terms_of_targets(path: Path) -> list[str]:
    """Return the terms of the data that the teachers of a file learnt from; none where it was made before it told them.

    Raises:
        DataError: the file is damaged.
    """
    told = read_npz(path, MAX_BYTES).get("provenance")
    try:
        return [str(line) for line in (json.loads(str(told)) if told is not None else {}).get("terms", [])]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"data.soft_targets {path} is damaged; make it anew with smart-retail soft_targets") from error


def _classes(told: np.ndarray | None, path: Path) -> dict[str, tuple[str, ...]]:
    """Return the classes of each task that a file tells of; the first ones knew the default tasks alone."""
    try:
        tasks = TASKS if told is None else [task_of(task) for task in json.loads(str(told))]
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise DataError(f"data.soft_targets {path} is damaged; make it anew with smart-retail soft_targets") from error
    return {task.name: task.classes for task in tasks}
