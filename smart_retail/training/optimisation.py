"""Optimiser and learning rate schedule from plain settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import lightning.pytorch as pl
from timm.optim import create_optimizer_v2, list_optimizers
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from smart_retail.callbacks.clock import time_share
from smart_retail.errors import ConfigError

SHAPES = ("cosine", "linear", "constant")
TICKS = 100_000
"""Into which a run's time is divided, where it takes the place of the steps: each far shorter than a step."""


def make_optimizer(model: nn.Module, name: str, learning_rate: float, weight_decay: float) -> Optimizer:
    """Create one of timm's optimisers; norms and biases do not decay.

    Raises:
        ConfigError: timm knows no such optimiser.
    """
    if name.lower() not in list_optimizers():
        raise ConfigError(f"optimizer {name!r} is unknown; timm has {', '.join(list_optimizers()[:12])}, ...")
    optimizer: Optimizer = create_optimizer_v2(
        model, opt=name, lr=learning_rate, weight_decay=weight_decay, filter_bias_and_bn=True
    )
    return optimizer


@dataclass(frozen=True)
class Schedule:
    """How the learning rate goes over a run.

    Attributes:
        shape: ``cosine``, ``linear`` or ``constant``.
        by: ``steps``, or ``time``: the clock of ``trainer.max_time``.
        warmup: share of the run in which the rate rises linearly from near zero.
        final: factor at the end of ``cosine`` and ``linear``.
    """

    shape: str = "cosine"
    by: str = "steps"
    warmup: float = 0.05
    final: float = 0.01

    def __post_init__(self) -> None:
        """Check the values."""
        if self.shape not in SHAPES:
            raise ConfigError(f"schedule {self.shape!r} is none of {', '.join(SHAPES)}")
        if self.by not in ("steps", "time"):
            raise ConfigError(f"schedule_by {self.by!r} is none of steps, time")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup {self.warmup} is a share of the run: 0 or more and below 1")

    def factor(self, steps: int) -> Callable[[float], float]:
        """Return the factor on the learning rate by the number of steps taken, of ``steps`` in the whole run."""
        rising = max(1, round(self.warmup * steps))

        def at(step: float) -> float:
            if step < rising:
                return (step + 1) / rising if self.warmup > 0 else 1.0
            done = min(1.0, (step - rising) / max(1, steps - rising))
            if self.shape == "constant":
                return 1.0
            left = 1 - done if self.shape == "linear" else (1 + math.cos(math.pi * done)) / 2
            return self.final + (1 - self.final) * left

        return at


def make_scheduler(optimizer: Optimizer, schedule: Schedule, trainer: pl.Trainer) -> LambdaLR:
    """Return what sets the rate before each step.

    Raises:
        ConfigError: the run has no end.
    """
    if schedule.by == "time":
        factor = schedule.factor(TICKS)
        return LambdaLR(optimizer, lambda _: factor(time_share(trainer) * TICKS))
    steps = trainer.estimated_stepping_batches
    if math.isinf(steps):
        raise ConfigError(
            "a schedule needs an end: set trainer.max_epochs (max_time may stop it sooner), or "
            "model.schedule_by time, whose end is trainer.max_time"
        )
    return LambdaLR(optimizer, schedule.factor(int(steps)))
