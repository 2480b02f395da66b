"""A checkpoint from which an interrupted run goes on exactly where it stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from smart_retail.callbacks.ranks import gather
from smart_retail.callbacks.stop_signals import StopSignals, answer
from smart_retail.errors import ConfigError


class LastCheckpoint(Checkpoint):
    """Keeps ``last.ckpt`` fresh: every few minutes, before and after each validation, and when a run is stopped.

    Saved only between two steps, never within one: Ctrl-C and SIGTERM let the running step finish, save,
    and stop. One saved before the validation of an epoch's end says so: resumed, the run begins with it.
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
        self.signals = StopSignals()
        self.stopped = False
        self.validation_ahead = False
        self.random_states: list[dict[str, Tensor]] = []

    def path(self, trainer: pl.Trainer) -> Path:
        """Return where the checkpoint lies."""
        return Path(trainer.log_dir or trainer.default_root_dir) / "checkpoints" / "last.ckpt"

    def save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint."""
        folder = trainer.log_dir  # asks rank 0: every rank must
        if getattr(trainer, "fast_dev_run", False) or folder is None:
            return
        trainer.save_checkpoint(self.path(trainer))
        self.saved_at = time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock and listen for signals; continue the random numbers of a resumed run."""
        self.saved_at, self.stopped = time.monotonic(), False
        rank = trainer.global_rank
        if rank < len(self.random_states):
            _set_random_state(self.random_states[rank])
        elif rank:
            torch.manual_seed(torch.initial_seed() + rank)  # else every rank drops the same features
        self.random_states = []
        self.signals.listen()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, and when something asks the run to stop."""
        last = trainer.is_last_batch
        # A run that ends at max_steps, in the middle of an epoch, has no validation after which to save.
        due = last or time.monotonic() - self.saved_at > self.seconds or trainer.global_step == trainer.max_steps
        # Every rank must come to the same decision: saving is collective.
        save, stop, asked = _largest(trainer, due, trainer.should_stop, self.signals.asked)
        self.stopped = bool(stop)
        if stop and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1  # Lightning then validates at once what is the end of the run
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not last and not self.stopped:
            return  # gradients gathered so far are in no checkpoint
        if save or stop or asked:
            self.validation_ahead = last and _validates(trainer)
            self.save(trainer)
            self.validation_ahead = False
        answer(asked)

    def on_validation_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop at once if what the run has learnt is saved; ranks stop together, after the validation."""
        if _fits(trainer) and trainer.is_last_batch and trainer.world_size == 1:
            answer(self.signals.asked)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after the validation that ends an epoch."""
        if _fits(trainer) and (trainer.is_last_batch or not self.stopped):
            self.save(trainer)
            answer(_largest(trainer, self.signals.asked)[0])

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let a run that is resumed before a validation begin with it.

        Lightning would count the epoch as validated; it does go on in the middle of a validation. So the
        checkpoint tells that the last step is complete and the validation in its first batch.
        """
        if self.validation_ahead:
            loops = checkpoint["loops"]["fit_loop"]
            steps, batches = loops["epoch_loop.batch_progress"], loops["epoch_loop.val_loop.batch_progress"]
            for count in ("total", "current"):
                steps[count]["completed"] = steps[count]["processed"]
                batches[count] |= {"ready": 1, "started": 1, "processed": 0, "completed": 0}
            batches["is_last_batch"] = False

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Forget the time that earlier calls took, unless the learning rate follows it.

        So ``trainer.max_time`` is a budget for each call, and with ``model.schedule_by: time`` one for the whole run.
        """
        if pl_module.hparams.get("schedule_by") != "time":
            checkpoint.get("callbacks", {}).pop("Timer", None)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self.signals.unlisten()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the signals back."""
        self.signals.unlisten()

    def state_dict(self) -> dict[str, Any]:
        """Keep the random numbers of dropout, of every rank."""
        return {"random_state": gather([_random_state()])}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take them up again, at the start of training."""
        states = state_dict["random_state"]
        # Up to version 0.1 there was that of one process alone.
        self.random_states = [{"cpu": states}] if isinstance(states, Tensor) else states


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _set_random_state(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def _largest(trainer: pl.Trainer, *values: int) -> list[int]:
    """Return each value's largest over the ranks; a collective call under DDP."""
    if trainer.world_size == 1:  # asked of a GPU, the answer would come after all that it has still to do
        return [int(value) for value in values]
    ours = torch.tensor(values, dtype=torch.int64, device=trainer.strategy.root_device)
    over_ranks: list[int] = trainer.strategy.reduce(ours, reduce_op="max").tolist()
    return over_ranks


def _fits(trainer: pl.Trainer) -> bool:
    return trainer.state.fn == "fit" and not trainer.sanity_checking


def _validates(trainer: pl.Trainer) -> bool:
    """Whether the running epoch ends with a validation."""
    every = trainer.check_val_every_n_epoch
    return trainer.enable_validation and every is not None and (trainer.current_epoch + 1) % every == 0
