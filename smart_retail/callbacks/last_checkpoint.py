"""A checkpoint from which an interrupted run goes on exactly where it stopped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities import rank_zero_info

from smart_retail.errors import ConfigError


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt`` fresh: every few minutes, after each epoch, and when a run is stopped.

    Saved only between two steps, never within one: Ctrl-C lets the running step finish, saves, and
    stops. The file is written aside and renamed, so a kill leaves the one before.
    """

    def __init__(self, minutes: float = 5.0) -> None:
        """Set how much work a ``kill -9`` may cost.

        Args:
            minutes: between two saves.
        """
        if minutes <= 0:
            raise ConfigError(f"last.minutes {minutes} must be more than 0")
        self.seconds = 60 * minutes
        self.saved_at = 0.0
        self.interrupted = False
        self.stopped = False
        self.handler: Any = None
        self.random_state: torch.Tensor | None = None

    def path(self, trainer: pl.Trainer) -> Path:
        """Return where the checkpoint lies."""
        return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints" / "last.ckpt"

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint."""
        if getattr(trainer, "fast_dev_run", False) or trainer.log_dir is None:
            return
        self.saved_at = time.monotonic()
        # Lightning writes to the folder of temporary files and moves: no rename if that is another disk.
        path = self.path(trainer)
        aside = path.with_name(".last.ckpt")
        trainer.save_checkpoint(aside)
        if trainer.is_global_zero:
            aside.replace(path)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock and listen for Ctrl-C; continue the random numbers of a resumed run."""
        self.saved_at, self.interrupted, self.stopped = time.monotonic(), False, False
        if self.random_state is not None:
            torch.set_rng_state(self.random_state)
            self.random_state = None
        if threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True
        rank_zero_info("\nInterrupted: saving after this step. (Again: stop at once.)")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, and when something asks the run to stop."""
        last = trainer.is_last_batch
        if last and _validates(trainer) and not trainer.received_sigterm:
            return  # saved after the validation: resumed from here, the run would go on without it
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not last and not trainer.should_stop:
            return  # gradients gathered so far are in no checkpoint
        self.stopped = trainer.should_stop
        due = time.monotonic() - self.saved_at > self.seconds or trainer.received_sigterm
        # A run that ends at max_steps, in the middle of an epoch, has no validation after which to save.
        due = due or trainer.global_step == trainer.max_steps or last
        # Every rank must come to the same decision: saving is collective.
        if trainer.strategy.reduce_boolean_decision(due or self.stopped or self.interrupted, all=False):
            self.save(trainer)
        if trainer.strategy.reduce_boolean_decision(self.interrupted, all=False):
            raise KeyboardInterrupt

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the validation that ends an epoch."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking and not self.stopped:
            self.save(trainer)
            if trainer.strategy.reduce_boolean_decision(self.interrupted, all=False):
                raise KeyboardInterrupt

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Forget the time that earlier calls took: ``trainer.max_time`` is a budget for each call."""
        checkpoint.get("callbacks", {}).pop("Timer", None)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give Ctrl-C back."""
        self._unlisten()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give Ctrl-C back."""
        self._unlisten()

    def _unlisten(self) -> None:
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)
            self.handler = None

    def state_dict(self) -> dict[str, Any]:
        """Keep the random numbers of dropout."""
        return {"random_state": torch.get_rng_state()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take them up again, at the start of training."""
        self.random_state = state_dict["random_state"].cpu()


def _validates(trainer: pl.Trainer) -> bool:
    """Whether the running epoch ends with a validation."""
    every = trainer.check_val_every_n_epoch
    return trainer.enable_validation and every is not None and (trainer.current_epoch + 1) % every == 0
