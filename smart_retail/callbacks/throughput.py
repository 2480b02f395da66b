"""Images a second, where people look."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl
import torch


class Throughput(pl.Callback):
    """Logs ``train/images_per_second`` of each epoch, without its validation."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.images, self.seconds, self.since = 0, 0.0, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of an epoch that is resumed in its middle."""
        self.images, self.since = 0, time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.images, self.since = 0, time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count; stop the clock after the last batch, before validation."""
        self.images += len(batch.row) * trainer.world_size
        if trainer.is_last_batch and pl_module.device.type == "cuda":
            torch.cuda.synchronize(pl_module.device)  # once an epoch: steps are only ordered till then
        self.seconds = time.monotonic() - self.since

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the rate of the epoch."""
        if self.images:
            pl_module.log("train/images_per_second", self.images / max(self.seconds, 1e-9), rank_zero_only=True)
