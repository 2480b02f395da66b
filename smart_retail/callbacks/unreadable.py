"""Images that could not be read any more, counted where the loader's processes only mention them."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn

from smart_retail.data.dataset import FaceBatch


class Unreadable(pl.Callback):
    """Warns after each epoch of how many faces were missing, and logs ``train/unreadable``, ``val/unreadable``."""

    def __init__(self) -> None:
        """Start with none."""
        self.missing = {"train": 0, "val": 0, "test": 0}

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: FaceBatch, batch_idx: int
    ) -> None:
        """Count: every training batch is full."""
        loader: Any = trainer.train_dataloader
        self.missing["train"] += loader.batch_size - len(batch.row)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell."""
        self._tell(trainer, pl_module, "train")

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: FaceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count: every batch but the last is full."""
        self._count("val", trainer.val_dataloaders, batch, batch_idx)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell."""
        self._tell(trainer, pl_module, "val")

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: FaceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count: every batch but the last is full."""
        self._count("test", trainer.test_dataloaders, batch, batch_idx)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell."""
        self._tell(trainer, pl_module, "test")

    def _count(self, stage: str, loader: Any, batch: FaceBatch, batch_idx: int) -> None:
        expected = min(loader.batch_size, len(loader.sampler) - batch_idx * loader.batch_size)
        self.missing[stage] += expected - len(batch.row)

    def _tell(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        ours = torch.tensor(self.missing[stage], device=trainer.strategy.root_device)
        self.missing[stage] = 0
        missing = int(trainer.strategy.reduce(ours, reduce_op="sum"))
        if missing and not trainer.sanity_checking:
            part = {"train": "training", "val": "validation", "test": "test"}[stage]
            rank_zero_warn(f"{missing} {part} faces of epoch {trainer.current_epoch} could not be read: left out")
            pl_module.log(f"{stage}/unreadable", float(missing))
