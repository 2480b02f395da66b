"""The bundle of the best checkpoint, after the training."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.utilities import rank_zero_info

from smart_retail.errors import GateError
from smart_retail.export.export import ExportSettings, export_bundle, kept_contract
from smart_retail.export.model_card import summary


class ONNXExport(pl.Callback):
    """Does after ``fit`` what ``smart-retail export`` does."""

    def __init__(self, output: str | None = None, settings: ExportSettings | None = None) -> None:
        """Set where the bundle goes.

        Args:
            output: folder; None for ``bundle`` in the run's folder.
            settings: what the bundle holds and how it is checked.
        """
        self.output, self.settings = output, settings or ExportSettings()

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse tasks that do not exist before the training, not after it."""
        kept_contract(pl_module.contract, self.settings)  # type: ignore[arg-type]

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the bundle; a bundle that is refused is told, the training is not lost for it."""
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        run = trainer.log_dir  # asks rank 0: every rank must
        if not best or not run or not trainer.is_global_zero:
            return
        folder = Path(self.output) if self.output else Path(run) / "bundle"
        try:
            manifest = export_bundle(best, folder, self.settings)
        except GateError as error:
            rank_zero_info(f"no bundle: {error}")
            return
        rank_zero_info(f"{summary(manifest)}\nbundle: {folder}")
