"""How much of a run's time is over: the clock of ``trainer.max_time``, of which there is one only."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Timer

from smart_retail.errors import ConfigError

NO_CLOCK = (
    "model.schedule_by time needs trainer.max_time, for example --trainer.max_time 00:00:30:00 for half an hour; or "
    "take model.schedule_by steps, with trainer.max_epochs"
)


def timer_of(trainer: pl.Trainer) -> Timer:
    """Return Lightning's timer, which ``trainer.max_time`` makes.

    Raises:
        ConfigError: there is none, or it has no end.
    """
    timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
    if not timers or timers[0].time_remaining() is None:
        raise ConfigError(NO_CLOCK)
    return timers[0]


def time_share(trainer: pl.Trainer) -> float:
    """Return the share of the time that is over, 0 to 1; a collective call under DDP: rank 0's clock counts.

    A resumed run goes on where it was stopped: the time taken before is in the checkpoint.
    """
    timer = timer_of(trainer)
    taken, left = timer.time_elapsed(), timer.time_remaining() or 0.0
    share = min(1.0, taken / max(taken + left, 1e-9))
    return float(trainer.strategy.broadcast(share))
