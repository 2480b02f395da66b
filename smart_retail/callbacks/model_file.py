"""What a run leaves behind for others: ``model.pth``, and the provenance of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_info

from smart_retail.callbacks.checkpoint_file import write_tensors
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.soft_targets import terms_of_targets
from smart_retail.files import write_aside
from smart_retail.models.load import read_model
from smart_retail.models.pretrained import terms_of
from smart_retail.provenance import git_state, versions

PROVENANCE = "made_by.json"


class ModelFile(pl.Callback):
    """Writes provenance into every checkpoint and into ``made_by.json``, and the best network as ``model.pth``."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Remember the config that the run was started with."""
        self.config = yaml.safe_dump(config, sort_keys=False)
        self.made_by: dict[str, Any] = {}
        self.terms: list[str] = []
        """Terms that a run which goes on has from its start: weights and teachers it began with may be gone since."""

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Collect once what stays the same."""
        data = getattr(trainer, "datamodule", None)
        known = isinstance(data, FaceDataModule)
        terms = self.terms or _terms_of_weights(pl_module, data)
        terms = [*terms, *(data.index.terms if known else ())]  # type: ignore[union-attr]
        self.made_by = {
            "versions": versions(),
            "git": git_state(),
            "config": self.config,
            "folder": str(Path.cwd()),  # of relative paths in the config
            "data_fingerprint": data.index.fingerprint() if known else "",  # type: ignore[union-attr]
            "data_terms": list(dict.fromkeys(terms)),
        }
        folder = trainer.log_dir  # asks rank 0: every rank must
        if folder and trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False):
            provenance = {name: value for name, value in self.made_by.items() if name not in ("config", "folder")}
            provenance |= {
                "processes": trainer.world_size,
                "threads": torch.get_num_threads(),
                "device": _device(trainer),
            }
            with write_aside(Path(folder) / PROVENANCE) as aside:
                aside.write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the terms that the run was started under."""
        self.terms = list((checkpoint.get("made_by") or {}).get("data_terms", []))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let the checkpoint tell what made it."""
        checkpoint["made_by"] = self.made_by

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write ``model.pth`` from the best checkpoint."""
        saved = [c.best_model_path for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
        best = next(iter(saved), "")
        folder = trainer.log_dir  # asks rank 0: every rank must
        if not trainer.is_global_zero:
            return
        if best and folder:
            path = Path(folder) / "model.pth"
            write_model_file(best, path)
            rank_zero_info(f"best network: {path}")
        elif folder and not getattr(trainer, "fast_dev_run", False):
            rank_zero_info("no model.pth: no validation at the final image size has been finished")


def _terms_of_weights(pl_module: pl.LightningModule, data: Any) -> list[str]:
    """Return the terms of what a network learns from beside its faces: its first weights, teachers, stored targets."""
    terms = [line for name in ("init_weights", "teachers") for line in terms_of(pl_module.hparams.get(name))]
    targets = getattr(data, "soft_targets", None)
    return terms + (terms_of_targets(Path(targets)) if targets else [])


def _device(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def write_model_file(checkpoint: str | Path, path: Path) -> None:
    """Write the network of a checkpoint (the averaged weights) alone, a third of its size.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or the disk full.
    """
    write_tensors(read_model(checkpoint), path)
