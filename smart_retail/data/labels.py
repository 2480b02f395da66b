"""Labels of faces as tensors, by the name of their column: a missing one is -1, and of votes a row of zeros."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from smart_retail.tasks import Task

Labels = dict[str, Tensor]
"""What is known of B faces, for each task ``t`` of the network.

Of classes: ``t`` (B,) int64, the class; each of its opinions likewise; and, where anybody voted, ``t_votes``
(B, classes) float32 shares, which train in place of the class. Of years: ``t`` (B,) float32; and, where there are
ranges, ``t_range`` (B, 2) float32, youngest and oldest whole year, both inside."""


def face_labels(faces: pd.DataFrame, tasks: Sequence[Task]) -> Labels:
    """Return the labels of N rows of a ``FaceIndex``."""
    found: Labels = {}
    for task in tasks:
        if task.is_classes:
            for column in (task.name, *task.opinions):
                found[column] = torch.from_numpy(faces[column].fillna(-1).to_numpy(np.int64))
            name, columns, missing = task.vote_labels, list(task.vote_columns), 0.0
        else:
            found[task.name] = _floats(faces[task.name], -1.0)
            name, columns, missing = task.range_labels, list(task.range_columns), -1.0
        if faces[columns].notna().any(axis=None):
            found[name] = _floats(faces[columns], missing)
    return found


def _floats(values: pd.Series | pd.DataFrame, missing: float) -> Tensor:
    return torch.from_numpy(values.to_numpy(np.float32, copy=True)).nan_to_num(missing)


def no_labels(count: int, tasks: Sequence[Task]) -> Labels:
    """Return those of faces of which nothing is known."""
    columns = [name for task in tasks for name in (task.name, *task.opinions)]
    years = {task.name for task in tasks if not task.is_classes}
    kinds = {name: torch.float32 if name in years else torch.int64 for name in columns}
    return {name: torch.full((count,), -1, dtype=kind) for name, kind in kinds.items()}


def has_label(labels: Mapping[str, Tensor], task: Task) -> Tensor:
    """Return (B,) bool: which faces have a label of any kind, exact, a range or votes."""
    known = labels[task.name] >= 0
    if (votes := labels.get(task.vote_labels)) is not None:
        known = known | (votes.sum(1) > 0)
    if (ages := labels.get(task.range_labels)) is not None:
        known = known | (ages[:, 0] >= 0)
    return known


def ages(labels: Mapping[str, Tensor], tasks: Sequence[Task]) -> np.ndarray:
    """Return (N,) years of the first task of that kind, the middle of a range; NaN where nothing is known."""
    task = next((task for task in tasks if not task.is_classes), None)
    if task is None:
        return np.full(len(labels[tasks[0].name]), np.nan)
    found = labels[task.name]
    if (ends := labels.get(task.range_labels)) is not None:
        found = torch.where(found >= 0, found, ends.mean(1))
    return np.asarray(torch.where(found >= 0, found, torch.nan))
