"""Pictures for the loggers: what goes in, what comes out, and the network between."""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.logger import DummyLogger
from lightning.pytorch.utilities import rank_zero_info
from matplotlib.figure import Figure
from torch import Tensor

from smart_retail.callbacks.ranks import gather
from smart_retail.contract import Contract
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.dataset import FaceBatch
from smart_retail.errors import ConfigError, one_line
from smart_retail.models.network import FaceNet
from smart_retail.plots import age_scatter, batch_grid, confusion, confusion_figure, pixels
from smart_retail.tasks import Task


class Figures(pl.Callback):
    """Shows augmented faces, confusion matrices and ages in every logger that takes pictures, while ``fit`` runs.

    Predictions are those of the validation itself: nothing goes through the network twice. The graph of the
    network is for TensorBoard alone.
    """

    def __init__(self, every_n_epochs: int = 5, graph: bool = True) -> None:
        """Set how often to draw.

        Args:
            every_n_epochs: draw the validation each so many epochs and after the last one; 0 draws
                no picture at all.
            graph: draw the network, once.
        """
        if every_n_epochs < 0:
            raise ConfigError(f"figures.every_n_epochs {every_n_epochs} must not be negative")
        self.every_n_epochs, self.graph = every_n_epochs, graph
        self.judged: list[dict[str, np.ndarray]] = []
        self.drawn = -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count epochs from here, in a resumed run too."""
        self.judged, self.drawn = [], trainer.current_epoch - 1

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: FaceBatch, batch_idx: int
    ) -> None:
        """Draw the very first batch and the network."""
        if trainer.global_step or batch_idx or not trainer.is_global_zero:
            return
        network, contract = getattr(pl_module, "net", None), getattr(pl_module, "contract", None)
        if not isinstance(network, FaceNet) or not isinstance(contract, Contract):
            return
        if self.every_n_epochs and picture_loggers(trainer):
            show(trainer, "train/inputs", batch_grid(batch, contract), 0)
        if self.graph and (board := board_of(trainer)):
            add_graph(board, network, contract)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: FaceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep what the validation step joined."""
        if self._due(trainer) and outputs is not None:
            self.judged.append(judged(outputs, batch, _tasks(pl_module)))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the predictions of all ranks."""
        if not self._due(trainer):
            return
        ours, self.judged = self.judged, []
        parts = gather(ours)
        self.drawn = trainer.current_epoch
        if not parts or not trainer.is_global_zero:
            return
        data = getattr(trainer, "datamodule", None)
        names = data.index.datasets if isinstance(data, FaceDataModule) else []
        for tag, figure in draw(parts, _tasks(pl_module), names).items():
            show(trainer, f"val/{tag}", figure, trainer.global_step)

    def _due(self, trainer: pl.Trainer) -> bool:
        if trainer.state.fn != "fit" or trainer.sanity_checking or not self.every_n_epochs:
            return False
        if not picture_loggers(trainer):
            return False
        last = trainer.current_epoch + 1 == trainer.max_epochs or trainer.should_stop
        return last or trainer.current_epoch - self.drawn >= self.every_n_epochs


def _tasks(module: pl.LightningModule) -> tuple[Task, ...]:
    contract = getattr(module, "contract", None)
    return contract.tasks if isinstance(contract, Contract) else ()


def board_of(trainer: pl.Trainer) -> Any:
    """Return TensorBoard's writer, or None."""
    return next((logger.experiment for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def picture_loggers(trainer: pl.Trainer) -> list[Logger]:
    """Return the loggers that may take pictures, the same on every rank."""
    return [logger for logger in trainer.loggers if not isinstance(logger, (CSVLogger, DummyLogger))]


def show(trainer: pl.Trainer, tag: str, figure: Figure, step: int) -> None:
    """Hand a figure to each logger in the way that it offers; what one of them raises is told, and ends no training."""
    for logger in picture_loggers(trainer):
        board: Any = getattr(logger, "experiment", None)
        try:
            if hasattr(logger, "log_image"):  # Weights & Biases
                logger.log_image(key=tag, images=[pixels(figure)], step=step)
            elif hasattr(board, "add_image"):  # TensorBoard; its add_figure would load pyplot
                board.add_image(tag, pixels(figure), step, dataformats="HWC")
            elif hasattr(board, "log_figure") and hasattr(logger, "run_id"):  # MLflow
                board.log_figure(logger.run_id, figure, f"{tag}/step_{step:06d}.png")
            elif hasattr(board, "log_figure"):  # Comet
                board.log_figure(tag, figure, step=step)
        except Exception as error:
            rank_zero_info(f"no picture in {type(logger).__name__}: {one_line(error)}")


def add_graph(board: Any, network: torch.nn.Module, contract: Contract) -> None:
    """Write the graph of a network; one that cannot be traced is told, not raised."""
    aside = copy.deepcopy(network).cpu().eval()  # tracing must change neither statistics nor random numbers
    images = torch.zeros(1, 3, contract.image_size, contract.image_size)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            board.add_graph(aside, images, use_strict_trace=False)
    except Exception as error:  # a picture is never worth a training, whatever the tracer raises
        rank_zero_info(f"no graph in TensorBoard: {type(error).__name__}: {str(error).splitlines()[:1]}")


def judged(outputs: dict[str, Tensor], batch: FaceBatch, tasks: Sequence[Task]) -> dict[str, np.ndarray]:
    """Put the answers of a validation step beside the labels: (N, 2) by task, -1 for no label; (N,) ``dataset``."""
    found = {"dataset": batch.dataset}
    for task in tasks:
        answer = outputs[task.name].argmax(1) if task.is_classes else outputs[task.name].squeeze(1).float()
        found[task.name] = torch.stack([batch.labels[task.name], answer], 1)
    return {name: values.detach().cpu().numpy() for name, values in found.items()}


def draw(parts: Sequence[dict[str, np.ndarray]], tasks: Sequence[Task], datasets: list[str]) -> dict[str, Figure]:
    """Return a figure for each task that has a label, of what ``judged`` returned."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    figures = {}
    for task in tasks:
        labels, answers = joined[task.name].T
        if not (known := labels >= 0).any():
            continue
        if task.is_classes:
            counts = confusion(labels[known], answers[known], len(task.classes))
            figures[f"{task.name}_confusion"] = confusion_figure(counts, task.classes, task.name)
        else:
            groups = joined["dataset"][known]
            figures[f"{task.name}_scatter"] = age_scatter(labels[known], answers[known], groups, datasets)
    return figures
