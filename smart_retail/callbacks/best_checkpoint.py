"""The checkpoint with the highest ``val/score``."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.sampler import size_at
from smart_retail.errors import ConfigError


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``, chosen among the epochs that were trained at the final image size.

    Scores at smaller sizes are those of another task: such a network would be shipped at a size that
    it has never seen.
    """

    def __init__(self) -> None:
        """Choose by ``val/score``."""
        super().__init__(
            filename="best",
            monitor="val/score",
            mode="max",
            save_top_k=1,
            enable_version_counter=False,
            # With the validation, before last.ckpt, which then knows the best score so far.
            save_on_train_epoch_end=False,
        )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse a run that would end before the final size.

        Raises:
            ConfigError: ``progressive`` reaches beyond ``max_epochs``.
        """
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, FaceDataModule) and 0 < (trainer.max_epochs or 0) <= max(data.sizes):
            raise ConfigError(
                f"data.progressive {data.sizes} has its last size from epoch {max(data.sizes)}, but "
                f"trainer.max_epochs is {trainer.max_epochs}: the network would never see it"
            )

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn of a run that has grown no best checkpoint, since ``max_time`` or a signal ended it too early."""
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, FaceDataModule) and len(data.sizes) > 1 and not self.best_model_path:
            rank_zero_warn(
                f"no best.ckpt: the run ended before a validation at data.image_size {data.image_size}, which "
                f"data.progressive has from epoch {max(data.sizes)}. Go on with --ckpt_path last and more "
                "trainer.max_time, or let that size begin earlier"
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if the score is the best so far, at the final size."""
        data = getattr(trainer, "datamodule", None)
        growing = isinstance(data, FaceDataModule) and size_at(data.sizes, trainer.current_epoch) != data.image_size
        if not growing:
            super().on_validation_end(trainer, pl_module)
