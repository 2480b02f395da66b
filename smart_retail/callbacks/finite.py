"""A loss or a gradient that is no number: the run stops before it harms the network, and can be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.dataset import FaceBatch
from smart_retail.errors import DivergedError
from smart_retail.training.checkpoint_file import write_tensors


class Finite(pl.Callback):
    """Checks the loss of each step on every rank, and the gradient before it is applied.

    With ``16-mixed`` precision gradients that overflow are a matter of the scaler, which skips them.
    """

    def __init__(self) -> None:
        """Start with no step seen."""
        self.batch: FaceBatch | None = None
        self.random_state = torch.empty(0)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: FaceBatch, batch_idx: int
    ) -> None:
        """Remember what the step will compute with."""
        self.batch, self.random_state = batch, torch.get_rng_state()

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Check the loss."""
        odd = not bool(torch.isfinite(loss.detach()).all())
        if trainer.strategy.reduce_boolean_decision(odd, all=False):
            self._stop(trainer, pl_module, f"the loss is {float(loss.detach())}", odd)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Check the gradient, which is the same on every rank."""
        if trainer.precision == "16-mixed":
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not torch.isfinite(norm):
            self._stop(trainer, pl_module, f"the norm of the gradient is {float(norm)}", True)

    def _stop(self, trainer: pl.Trainer, pl_module: pl.LightningModule, what: str, ours: bool) -> None:
        folder = trainer.log_dir  # asks rank 0: every rank must
        where = f"step {trainer.global_step + 1} (epoch {trainer.current_epoch})"
        if not ours:
            raise DivergedError(f"{where}: the loss of another process is no number")
        kept = ""
        if folder and self.batch is not None:
            path = Path(folder) / "diverged" / f"step_{trainer.global_step + 1}_rank_{trainer.global_rank}.pt"
            write_tensors(self._state(trainer, pl_module), path)
            path.with_suffix(".txt").write_text("\n".join(self._files(trainer)) + "\n", encoding="utf-8")
            kept = f"; smart-retail replay {path} shows the batch"
        raise DivergedError(
            f"{where}: {what}{kept}. The checkpoints are from before; go on with --ckpt_path last and a lower "
            "model.learning_rate or trainer.gradient_clip_val, or without the files at fault"
        )

    def _state(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        assert self.batch is not None
        batch = {name: value for name, value in self.batch._asdict().items() if name != "soft"}
        return {
            "state_dict": pl_module.state_dict(),
            # Names that begin with an underscore are the command line's own.
            "hyper_parameters": {name: value for name, value in pl_module.hparams.items() if name[0] != "_"},
            "batch": batch,
            "soft": self.batch.soft and self.batch.soft._asdict(),
            "files": self._files(trainer),
            "random_state": self.random_state,
            "step": trainer.global_step + 1,
        }

    def _files(self, trainer: pl.Trainer) -> list[str]:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, FaceDataModule) or self.batch is None:
            return []
        return [str(path) for path in data.dataset("train").paths[self.batch.row.cpu().numpy()]]
