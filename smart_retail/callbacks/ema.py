"""Exponential moving average of the weights, with a warm-up for short runs."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from smart_retail.errors import ConfigError


class EMA(WeightAveraging):
    """Validates, saves and ships averaged weights; training goes on with the raw ones.

    The decay of the n-th step is ``min(decay, (1 + n) / (10 + n))`` (as in TensorFlow's
    ExponentialMovingAverage), so that a run of a few hundred steps is not an average of its start.
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
