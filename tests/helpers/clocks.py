"""A clock for Lightning's timer that goes on with the steps, so that no test sleeps."""

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest


class Clock(pl.Callback):
    """Lets each training step take so many seconds."""

    now = 0.0

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        """Go on; nothing else takes time."""
        Clock.now += self.seconds


def set_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the timer this clock."""
    monkeypatch.setattr("lightning.pytorch.callbacks.timer.time", SimpleNamespace(monotonic=lambda: Clock.now))
