"""The settings of a run beside its results, in TensorBoard's HPARAMS tab."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from torch.utils.tensorboard.summary import hparams

from smart_retail.callbacks.figures import board_of
from smart_retail.contract import Contract
from smart_retail.data.datamodule import FaceDataModule

DATA = ("image_size", "batch_size", "balance", "age_balance", "epoch_size", "limit_train", "seed")


class HyperParameters(pl.Callback):
    """Tells TensorBoard the settings, and which curves are the results.

    The tab reads the last values of these curves by itself; ``log_hyperparams`` with metrics would
    write each of them a second time.
    """

    def __init__(self) -> None:
        """Start with nothing written."""
        self.end: Any = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the settings once it is known what is measured."""
        board = board_of(trainer) if trainer.state.fn == "fit" and not trainer.sanity_checking else None
        contract = getattr(pl_module, "contract", Contract())
        names = ("score", *(task.metric for task in contract.tasks), "loss")
        results = {f"val/{name}": 0 for name in names if f"val/{name}" in trainer.callback_metrics}
        if board is None or self.end is not None or not results or not trainer.is_global_zero:
            return
        experiment, start, self.end = hparams(settings(trainer, pl_module), results)  # type: ignore[no-untyped-call]
        writer = board._get_file_writer()
        writer.add_summary(experiment)
        writer.add_summary(start)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell that the run has ended well."""
        if self.end is not None:
            board_of(trainer)._get_file_writer().add_summary(self.end)
            self.end = None


def settings(trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
    """Return the settings of a run by the names that the command line has for them."""
    found = {f"model.{name}": value for name, value in pl_module.hparams.items() if name[0] != "_"}
    data = getattr(trainer, "datamodule", None)
    if isinstance(data, FaceDataModule):
        found |= {f"data.{name}": getattr(data, name) for name in DATA}
        found["data.sources"] = ", ".join(data.index.datasets)
        found["data.augmentation.strength"] = data.augmentation.strength
    found["trainer.max_epochs"] = trainer.max_epochs
    return {name: value for name, value in _flat(found).items() if value is not None}


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value if value is None or isinstance(value, bool | int | float | str) else str(value)
    return flat
