"""Optimiser and learning rate schedule from plain settings."""

from __future__ import annotations

import math
from collections.abc import Callable

from timm.optim import create_optimizer_v2, list_optimizers
from torch import nn
from torch.optim import Optimizer

from smart_retail.errors import ConfigError

SCHEDULES = ("cosine", "linear", "constant")


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


def learning_rate_factor(schedule: str, warmup: float, final: float, steps: int) -> Callable[[float], float]:
    """Return the factor on the learning rate by the number of steps taken.

    Args:
        schedule: ``cosine``, ``linear`` or ``constant``.
        warmup: share of all steps in which the rate rises linearly from near zero.
        final: factor at the end of ``cosine`` and ``linear``.
        steps: of the whole run.

    Raises:
        ConfigError: an unknown schedule or a share outside 0 to 1.
    """
    if schedule not in SCHEDULES:
        raise ConfigError(f"schedule {schedule!r} is none of {', '.join(SCHEDULES)}")
    if not 0 <= warmup < 1:
        raise ConfigError(f"warmup {warmup} is a share of the run: 0 or more and below 1")
    rising = max(1, round(warmup * steps))

    def factor(step: float) -> float:
        if step < rising:
            return (step + 1) / rising if warmup > 0 else 1.0
        done = min(1.0, (step - rising) / max(1, steps - rising))
        if schedule == "constant":
            return 1.0
        left = 1 - done if schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        return final + (1 - final) * left

    return factor
