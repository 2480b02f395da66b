"""Callbacks that stop a run at a chosen step, each in one of the ways runs really end."""

import os
import signal

import lightning.pytorch as pl


class StopAt(pl.Callback):
    """Stops after a training step: ``budget``, ``interrupt``, ``group``, ``terminate`` or ``kill`` or ``raise``."""

    def __init__(self, step: int, way: str = "interrupt") -> None:
        self.step, self.way = step, way

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        """Signals come in the middle of a step, as people send them."""
        if trainer.global_step + 1 != self.step:
            return
        if self.way == "interrupt":
            signal.raise_signal(signal.SIGINT)
        elif self.way == "group":  # as a terminal does: the loader's workers hear it too
            os.killpg(os.getpgrp(), signal.SIGINT)
        elif self.way == "raise":
            raise RuntimeError("stopped by the test")
        elif self.way == "terminate":
            signal.raise_signal(signal.SIGTERM)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Budgets end between steps; a kill comes when the step's checkpoint may be on its way."""
        if self.way == "budget" and trainer.global_step == self.step:
            trainer.should_stop = True
        elif self.way == "kill" and trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)
