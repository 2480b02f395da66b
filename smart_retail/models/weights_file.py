"""Reading a trained network that is kept as one small safetensors file (``smart-retail weights`` writes it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from smart_retail.errors import CheckpointError, one_line

PROVENANCE = "smart_retail"
"""Name of the metadata entry that holds settings, contract and provenance as JSON."""


def read_safetensors(path: Path) -> dict[str, Any]:
    """Read a file of ``smart-retail weights`` as ``model.pth`` would be read; of any other, its tensors by name.

    Raises:
        CheckpointError: the file is missing, damaged, or its settings are.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weights")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: _full(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - no dict
            provenance = (file.metadata() or {}).get(PROVENANCE)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {one_line(error)}") from error
    if provenance is None:
        return tensors
    try:
        return {**json.loads(provenance), "model_state_dict": tensors}
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its settings are damaged ({one_line(error)})") from error


def _full(value: Tensor) -> Tensor:
    return value.to(torch.float32) if value.is_floating_point() else value
