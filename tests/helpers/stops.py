"""Callbacks that stop a run at a chosen step, each in one of the ways runs really end."""

import os
import signal

import lightning.pytorch as pl


class StopAt(pl.Callback):
    """Stops at a training step: ``budget``, ``interrupt``, ``terminate``, ``kill``, ``raise``; or ``interrupt group``,
    ``terminate group``: the loader's workers hear it too, as from a terminal, torchrun and SLURM.
    """

    def __init__(self, step: int, way: str = "interrupt", rank: int = 0) -> None:
        self.step, self.way, self.rank = step, way, rank

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        """Signals come in the middle of a step, as people send them."""
        if (trainer.global_step + 1, trainer.global_rank) != (self.step, self.rank):
            return
        if self.way == "interrupt":
            signal.raise_signal(signal.SIGINT)
        elif self.way == "interrupt group":
            os.killpg(os.getpgrp(), signal.SIGINT)
        elif self.way == "terminate group":
            os.killpg(os.getpgrp(), signal.SIGTERM)
        elif self.way == "raise":
            raise RuntimeError("stopped by the test")
        elif self.way == "terminate":
            signal.raise_signal(signal.SIGTERM)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Budgets end between steps; a kill comes when the step's checkpoint may be on its way."""
        if (trainer.global_step, trainer.global_rank) != (self.step, self.rank):
            return
        if self.way == "budget":
            trainer.should_stop = True
        elif self.way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)


class StopInValidation(pl.Callback):
    """Sends a signal to the own process in the first validation batch of an epoch."""

    def __init__(self, epoch: int, number: int = signal.SIGTERM, rank: int = 0) -> None:
        self.epoch, self.number, self.rank = epoch, number, rank

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0) -> None:
        """Only in a training, and only of one rank."""
        if (trainer.current_epoch, batch_idx, trainer.global_rank) == (self.epoch, 0, self.rank):
            os.kill(os.getpid(), self.number)
