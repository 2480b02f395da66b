"""How checkpoints reach the disk: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from smart_retail.errors import CheckpointError


class CheckpointFile(TorchCheckpointIO):
    """Lightning's way of writing, with a rename in the same folder.

    Its own writes to the system's folder of temporary files and moves: no rename if that is another disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint.

        Raises:
            CheckpointError: the disk is full, or the folder cannot be written to.
        """
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            write_tensors(checkpoint, Path(path))


def write_tensors(content: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values; what was there before stays until the new file is complete.

    The name aside is always the same: what a kill leaves of it, the next write replaces.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written to.
    """
    aside = path.with_name(f".{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, RuntimeError) as error:
        aside.unlink(missing_ok=True)
        before = "the one before it is whole" if path.is_file() else "there is none before it"
        raise CheckpointError(f"{path} cannot be written ({_reason(error)}); {before}") from error


def _reason(error: BaseException) -> str:
    """Return what the operating system said; torch puts an error of its own on top."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return (cause.strerror if isinstance(cause, OSError) else None) or str(error).splitlines()[0]
