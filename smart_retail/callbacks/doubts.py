"""What makes a training doubtful, said while somebody looks: too few steps, and answers that are all the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from smart_retail.callbacks.ranks import gather
from smart_retail.contract import Contract
from smart_retail.data.dataset import FaceBatch
from smart_retail.tasks import Task

FEW_STEPS = 100
SAME_YEARS = 1.0
"""Years within which all answers are one."""


class Doubts(pl.Callback):
    """Warns of a run below a hundred steps, and at its end of a network that answers the same to every face."""

    def __init__(self) -> None:
        """Start without a validation."""
        self.ends: list[Tensor] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the steps of the whole run."""
        self.ends = []
        by_time = pl_module.hparams.get("schedule_by") == "time"
        if by_time or getattr(trainer, "fast_dev_run", False) or not trainer.is_global_zero:
            return
        if (steps := trainer.estimated_stepping_batches) < FEW_STEPS:
            warn(
                f"{steps:.0f} steps in all teach a network little: raise trainer.max_epochs, lower data.batch_size, or "
                "start from a trained network"
            )

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the validation before."""
        self.ends = []

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: FaceBatch, *_: Any
    ) -> None:
        """Note between which ends answers and labels lie; nothing here waits for a GPU."""
        if trainer.state.fn == "fit" and isinstance(outputs, dict):
            self.ends.append(torch.stack([ends(outputs[t.name], batch.labels[t.name], t) for t in _tasks(pl_module)]))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the last validation, of all ranks."""
        ours, self.ends = [torch.stack(self.ends).amax(0).cpu()] if self.ends else [], []
        parts = gather(ours)
        if not parts or not trainer.is_global_zero:
            return
        learnt = getattr(pl_module, "learnt", lambda: _tasks(pl_module))()
        for task, answer in constant(torch.stack(parts).amax(0), _tasks(pl_module)).items():
            if task in {one.name for one in learnt}:
                warn(
                    f"{task}: {answer} is said of every validation face: that is not learnt yet. Train longer, from a "
                    "trained network, or with another model.learning_rate"
                )


def ends(answers: Tensor, labels: Tensor, task: Task) -> Tensor:
    """Return (4,) minus the lowest and the highest answer to labelled faces, and the same of their labels.

    Args:
        answers: (B, classes) logits or probabilities, or (B, 1) years.
        labels: (B,) numbers of classes, or years; below 0 where there is none.
        task: of both.
    """
    predicted = answers.argmax(1).float() if task.is_classes else answers.squeeze(1).float()
    both = torch.stack([-predicted, predicted, -labels.float(), labels.float()])
    return both.masked_fill(labels < 0, -torch.inf).amax(1)


def constant(found: Tensor, tasks: Sequence[Task]) -> dict[str, str]:
    """Return the one answer of each task that has no other, though its labels differ; (tasks, 4) from ``ends``."""
    constant = {}
    for task, (low, high, low_label, high_label) in zip(tasks, found.tolist(), strict=True):
        if high_label > -low_label and high + low < (0.5 if task.is_classes else SAME_YEARS):
            constant[task.name] = task.classes[int(high)] if task.is_classes else f"{high:.0f} years"
    return constant


def warn(text: str) -> None:
    """Print a warning without the name of a Python file around it."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def _tasks(module: pl.LightningModule) -> tuple[Task, ...]:
    contract = getattr(module, "contract", None)
    return contract.tasks if isinstance(contract, Contract) else ()
