"""Files of weights, read without unpickling: tensors and plain values, under the names of this version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smart_retail.errors import CheckpointError, one_line
from smart_retail.models.weights_file import read_safetensors
from smart_retail.runs import find_checkpoint
from smart_retail.tasks import TASKS

PREFIX = "net."
"""Of the network's weights in a training module."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file of tensors and plain values, or the best checkpoint of a run's folder; nothing is ever executed.

    Raises:
        CheckpointError: it is missing, damaged, or holds anything else.
    """
    if Path(path).is_dir():
        path = find_checkpoint(str(path), run="")
    elif not Path(path).is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    content = read_safetensors(Path(path)) if Path(path).suffix == ".safetensors" else _load(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    if not isinstance(made_by := content.get("made_by") or {}, dict):
        raise CheckpointError(f"{path}: made_by is a {type(made_by).__name__}, not a mapping")
    settings = content.get("hyper_parameters")
    if isinstance(settings, dict) and "weights" in settings:  # what the first versions called it
        settings["init_weights"] = settings.pop("weights")
    return content


def _load(path: str | Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises nearly anything on damaged files
        raise CheckpointError(f"{path} is damaged or no checkpoint: {one_line(error, 150)}") from error


def check_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Compare names and shapes of weights with a network's.

    Raises:
        CheckpointError: they differ; names the first difference and how many there are.
    """
    missing, extra = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    shapes = [
        f"{name} is {tuple(weights[name].shape)}, the network has {tuple(expected[name].shape)}"
        for name in expected.keys() & weights.keys()
        if weights[name].shape != expected[name].shape
    ]
    if missing or extra or shapes:
        first = min(shapes) if shapes else f"{min(missing or extra)} is {'missing' if missing else 'unknown'}"
        count = len(missing) + len(extra) + len(shapes)
        raise CheckpointError(
            f"{what} belongs to another network: {first} ({count} such differences); "
            "give the config that it was trained with, or another --ckpt_path"
        )


def network_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's part of a training module's state."""
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}


def renamed(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Return weights under the names of this version; the first ones had no ``heads`` before those of a task."""
    first = tuple(f"{prefix}{task.name}." for task in TASKS)
    return {
        f"{prefix}heads.{name.removeprefix(prefix)}" if name.startswith(first) else name: value
        for name, value in state.items()
    }
