"""Exponential moving average of the weights, with a warm-up for short runs."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.sampler import size_at
from smart_retail.errors import ConfigError


class EMA(WeightAveraging):
    """Validates, saves and ships averaged weights; training goes on with the raw ones.

    The decay of the n-th step is ``min(decay, (1 + n) / (10 + n))`` (as in TensorFlow's
    ExponentialMovingAverage), so that a run of a few hundred steps is not an average of its start.
    Where the image size changes the average starts anew: statistics of batch norms at one size are
    wrong at another, and mixed ones fit neither.
    Checkpoints hold the average in ``state_dict`` and the raw weights in ``current_model_state``.
    """

    def __init__(self, decay: float = 0.998) -> None:
        """Set the decay.

        Args:
            decay: share of the average that stays with each step; 0 turns averaging off.
        """
        if not 0 <= decay < 1:
            raise ConfigError(f"ema.decay {decay} is outside 0 to 1")

        super().__init__(use_buffers=True)
        self.decay = decay

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the average where the network is going to be, and its counter where it can be read without waiting.

        Lightning asks the network where it is, which at this moment is the CPU: the average of a network on a GPU
        would stay there, and all weights be copied to it in each step.
        """
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average after each step of the optimiser."""
        if trainer.global_step > self._latest_update_step and self._average_model is not None:
            average(self._average_model, pl_module, self.decay)
            self._latest_update_step = trainer.global_step

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the average anew in an epoch whose images have another size than the last one's."""
        data, epoch = getattr(trainer, "datamodule", None), trainer.current_epoch
        if not isinstance(data, FaceDataModule) or epoch == 0 or self._average_model is None:
            return
        if size_at(data.sizes, epoch) != size_at(data.sizes, epoch - 1):
            self._average_model.n_averaged.zero_()


@torch.no_grad()
def average(averaged: AveragedModel, current: nn.Module, decay: float) -> None:
    """Take the current weights and buffers into the average, in place.

    torch's own ``update_parameters`` copies its counter to the GPU and reads it back in each step.
    """
    n = int(averaged.n_averaged)
    pairs = [
        *zip(averaged.module.parameters(), current.parameters(), strict=True),
        *zip(averaged.module.buffers(), current.buffers(), strict=True),
    ]
    averages = [(ours.detach(), theirs.detach()) for ours, theirs in pairs if n and ours.is_floating_point()]
    if averages:
        old, new = map(list, zip(*averages, strict=True))
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(old, new, n)  # type: ignore[no-untyped-call]
    for ours, theirs in pairs:
        if not n or not ours.is_floating_point():  # the start, and numbers of batches seen
            ours.copy_(theirs)
    averaged.n_averaged += 1
