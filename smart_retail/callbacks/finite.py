"""A loss or a gradient that is no number: the run stops before it harms the network, and can be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from smart_retail.callbacks.checkpoint_file import write_tensors
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.dataset import FaceBatch
from smart_retail.errors import DivergedError

NONE = -1
"""The number of no step."""


class Finite(pl.Callback):
    """Looks at the loss of each step on every rank, and at the gradient before it is applied.

    On a CPU at once: the step is not made. To look at a number on a GPU is to wait for all that the GPU has
    still to do, so there each step only notes on the GPU whether it was the first with a number that is none;
    the note is read every ``trainer.log_every_n_steps`` steps, and before any checkpoint is written, which is
    refused then. So weights that are no numbers may live for a few steps, but they reach no file.

    With ``16-mixed`` precision gradients that overflow are a matter of the scaler, which skips them.
    """

    def __init__(self) -> None:
        """Start with no step seen."""
        self.batch: FaceBatch | None = None
        self.random_state = torch.empty(0)
        self.every = 1
        self.first = torch.tensor(NONE)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at every step, or on a GPU as often as numbers are logged."""
        self.every = 1 if pl_module.device.type == "cpu" else max(1, getattr(trainer, "log_every_n_steps", 1))
        self.first = torch.full((), NONE, device=pl_module.device)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: FaceBatch, batch_idx: int
    ) -> None:
        """Remember what the step will compute with."""
        self.batch, self.random_state = batch, torch.get_rng_state()

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Look at the loss, or note that it is no number."""
        odd = ~torch.isfinite(loss.detach()).all()
        if not self._due(trainer):
            self._note(trainer, odd)
            return
        self._read(trainer)
        ours = bool(odd)
        if trainer.strategy.reduce_boolean_decision(ours, all=False):
            self._stop(trainer, pl_module, f"the loss is {float(loss.detach())}", ours)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradient, which is the same on every rank, or note that it is no number."""
        if trainer.precision == "16-mixed":
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if not self._due(trainer):
            self._note(trainer, ~torch.isfinite(norm))
        elif not torch.isfinite(norm):
            self._stop(trainer, pl_module, f"the norm of the gradient is {float(norm)}", True)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to save what a step that was not looked at may have left.

        Raises:
            DivergedError: there was such a step; nothing has been written.
        """
        self._read(trainer)

    def _due(self, trainer: pl.Trainer) -> bool:
        return (trainer.global_step + 1) % self.every == 0

    def _note(self, trainer: pl.Trainer, odd: Tensor) -> None:
        self.first.masked_fill_(odd & (self.first == NONE), trainer.global_step + 1)

    def _read(self, trainer: pl.Trainer) -> None:
        """Raise a DivergedError if any rank noted a step; a collective call under DDP."""
        if self.every == 1:
            return
        first = int(self.first)
        if trainer.strategy.reduce_boolean_decision(first != NONE, all=False):
            step = f"step {first}" if first != NONE else f"one of the last {self.every} steps, on another process"
            raise DivergedError(
                f"{step}: the loss or the gradient was no number (on a GPU that is looked for every "
                f"trainer.log_every_n_steps {self.every} steps). The checkpoints are from before; go on with "
                "--ckpt_path last and --trainer.log_every_n_steps 1 to stop at that step and keep its images, or with "
                "a lower model.learning_rate or trainer.gradient_clip_val"
            )

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
        return {
            "state_dict": pl_module.state_dict(),
            # Names that begin with an underscore are the command line's own.
            "hyper_parameters": {name: value for name, value in pl_module.hparams.items() if name[0] != "_"},
            "module": f"{type(pl_module).__module__}.{type(pl_module).__qualname__}",
            "batch": self.batch._asdict(),
            "files": self._files(trainer),
            "random_state": self.random_state,
            "step": trainer.global_step + 1,
        }

    def _files(self, trainer: pl.Trainer) -> list[str]:
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, FaceDataModule) or self.batch is None:
            return []
        return [str(path) for path in data.dataset("train").paths[self.batch.row.cpu().numpy()]]
