"""The course of a training in the terminal: a bar with the loss, a line for each epoch, and how to go on."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint, Timer, TQDMProgressBar
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

from smart_retail.callbacks.best_checkpoint import BestCheckpoint
from smart_retail.contract import Contract
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.tasks import Task

LEGEND = "validation: share right, or mean years off; best: the highest score so far"
WIDTH = 100
"""Columns of a log file, which has no width of its own."""
MIN_CELL, MAX_CELL = 6, 12
"""Characters of a column."""
GAP, MARK = "  ", "  best"
DROPPED_FIRST = ("time", "steps", "train loss")
"""Columns that a narrow terminal does without."""
Column = tuple[str, str, str]
"""Title, name of the figure, and its form: ``%``, ``y`` for years, or a format of Python's."""


class LossBar(TQDMProgressBar):
    """A bar with the loss of the running step, which leaves nothing behind."""

    def __init__(self) -> None:
        """Start without a loss."""
        super().__init__()
        self.loss: dict[str, Any] = {}

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """Return the loss; of a GPU only as often as numbers are logged, since asking waits for the step."""
        every = 1 if pl_module.device.type == "cpu" else max(1, getattr(trainer, "log_every_n_steps", 1))
        if trainer.global_step % every == 0 and "train/step_loss" in trainer.callback_metrics:
            self.loss = {"loss": f"{float(trainer.callback_metrics['train/step_loss']):.3f}"}
        return self.loss

    def init_train_tqdm(self) -> Any:
        """Return the bar of the epochs."""
        bar = super().init_train_tqdm()
        bar.leave = False
        return bar


class EpochTable(Checkpoint):
    """Prints losses and validation of each epoch as a line, on rank 0; after a stop, how to go on.

    A ``Checkpoint``, since Lightning calls those last, when all figures of the epoch are there.
    """

    def __init__(self, go_on: str = "") -> None:
        """Start a table.

        Args:
            go_on: command that goes on with the run from its ``last.ckpt``.
        """
        self.go_on, self.unfinished = go_on, False
        self.columns: list[Column] = []
        self.best: Tensor | None = None
        self.began, self.validated = 0.0, False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the table, with what there is to learn from."""
        self.columns, self.best, self.began, self.validated = [], _best(trainer), time.monotonic(), False
        data, steps = getattr(trainer, "datamodule", None), trainer.num_training_batches
        if isinstance(data, FaceDataModule):
            faces, judged = len(data.dataset("train")), len(data.dataset("val"))
            ahead = trainer.estimated_stepping_batches
            pl_module.print(
                f"{faces:,} faces to train on, {judged:,} to validate; {steps:,} steps an epoch"
                + f", {ahead:,} in all" * math.isfinite(ahead)
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that this epoch has figures of the validation."""
        self.validated = trainer.state.fn == "fit" and not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line of the epoch."""
        found, validated = trainer.callback_metrics, self.validated
        self.validated, before, self.best = False, self.best, _best(trainer)
        if not trainer.is_global_zero or not (validated or "train/loss" in found):
            return
        values = {name: float(v) for name, v in found.items() if validated or not name.startswith("val/")}
        values |= {"epoch": trainer.current_epoch, "steps": trainer.global_step, "time": time.monotonic() - self.began}
        if not self.columns:
            contract = getattr(pl_module, "contract", Contract())
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDTH
            self.columns = fitting(columns_of(values, contract.tasks, validated=validated), width)
            pl_module.print(LEGEND)
            pl_module.print(line([title for title, *_ in self.columns], self.columns))
        better = self.best is not None and (before is None or bool(self.best != before))
        cells = [cell(values.get(name), form) for _, name, form in self.columns]
        pl_module.print(line(cells, self.columns) + MARK * better)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note whether the clock ended a run that has more to do."""
        clocks = [c for c in trainer.callbacks if isinstance(c, Timer)]  # type: ignore[attr-defined]
        over = any((left := clock.time_remaining()) is not None and left <= 0 for clock in clocks)
        self.unfinished = over and pl_module.hparams.get("schedule_by") != "time"

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say how to go on after Ctrl-C and SIGTERM."""
        if isinstance(exception, (KeyboardInterrupt, SIGTERMException)) and trainer.is_global_zero and self.go_on:
            print(f"\nstopped; it goes on with\n  {self.go_on}", file=sys.stderr, flush=True)


def columns_of(values: Mapping[str, float], tasks: Sequence[Task], *, validated: bool = True) -> list[Column]:
    """Return the columns of a table: those of tasks that have a figure, or of all where nothing was measured yet."""
    figures = [figure_of(values, task) for task in tasks]
    if not validated:
        figures = [(task.name, f"val/{task.metric}", _form(task)) for task in tasks]
    return [
        ("epoch", "epoch", ".0f"),
        ("steps", "steps", ".0f"),
        ("train loss", "train/loss", ".3f"),
        ("val loss", "val/loss", ".3f"),
        *(figure for figure in figures if figure),
        ("score", "val/score", ".3f"),
        ("time", "time", "s"),
    ]


def figure_of(values: Mapping[str, float], task: Task, group: str = "val/") -> Column | None:
    """Return the column of what tells most of a task; of ages that are ranges alone the share inside."""
    if f"{group}{task.metric}" in values:
        return task.name, f"{group}{task.metric}", _form(task)
    inside = f"{group}{task.name}_inside"
    return (f"{task.name} in range", inside, "%") if inside in values else None


def _form(task: Task) -> str:
    return "%" if task.is_classes else "y"


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that a terminal has room for; what gives way first tells least, and then the last tasks."""
    kept = list(columns)
    spare = [column for title in DROPPED_FIRST for column in kept if column[0] == title]
    spare += reversed([column for column in kept[4:-2] if column not in spare])
    for column in spare:
        if len(line([""] * len(kept), kept)) + len(MARK) > width:
            kept.remove(column)
    return kept


def line(cells: Sequence[str], columns: Sequence[Column]) -> str:
    """Return the cells below their titles, flush right."""
    widths = [min(max(len(title), MIN_CELL), MAX_CELL) for title, *_ in columns]
    return GAP.join(f"{text[:MAX_CELL]:>{width}}" for text, width in zip(cells, widths, strict=True))


def cell(value: float | None, form: str) -> str:
    """Return a figure in its unit; empty where there is none."""
    if value is None:
        return ""
    if form == "s":
        return f"{int(value) // 60}:{int(value) % 60:02d}"
    return f"{100 * value:.1f}%" if form == "%" else f"{value:.1f} y" if form == "y" else format(value, form)


def _best(trainer: pl.Trainer) -> Tensor | None:
    return next((c.best_model_score for c in trainer.checkpoint_callbacks if isinstance(c, BestCheckpoint)), None)
