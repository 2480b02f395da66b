"""Exponential moving average of the weights, with a warm-up for short runs."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

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

        def average(averaged: Any, current: Any, steps: Any) -> None:
            n = int(steps)
            get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, steps)  # type: ignore[no-untyped-call]

        super().__init__(use_buffers=True, multi_avg_fn=average)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the average anew in an epoch whose images have another size than the last one's."""
        data, epoch = getattr(trainer, "datamodule", None), trainer.current_epoch
        if not isinstance(data, FaceDataModule) or epoch == 0 or self._average_model is None:
            return
        if size_at(data.sizes, epoch) != size_at(data.sizes, epoch - 1):
            self._average_model.n_averaged.zero_()
