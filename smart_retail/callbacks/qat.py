"""Quantisation-aware training as a callback for any config of ``fit``."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info

from smart_retail.callbacks.clock import time_share
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.face_crops import FaceCrops
from smart_retail.errors import ConfigError
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.fake_quantise import convolutions, fake_quantise, fuse
from smart_retail.models.load import load_model
from smart_retail.models.network import FaceNet
from smart_retail.quantise.post_training import Int8Settings
from smart_retail.quantise.qat import prepare_qat

SAME = ("backbone", "age_head", "age_sigma")


class QuantisationAware(pl.Callback):
    """Fine-tunes a trained network while its convolutions round as their integer kernels will.

    The network is reparameterised and equalised, then trained in three phases: in float, rounding with
    ranges that follow the activations, rounding with frozen ranges. By default there is only the last: no
    limit holds the activations of a fused network, rare faces of the training stretch ranges that
    follow them a hundredfold, and frozen ones clip them. Validation always rounds, so the
    best checkpoint is the best INT8 network; ``smart-retail export`` takes it like any other. Stopped
    runs go on with ``--ckpt_path last``.
    """

    def __init__(
        self, checkpoint: str, start: float = 0.0, freeze: float = 0.0, settings: Int8Settings | None = None
    ) -> None:
        """Set what to start from and when the phases change.

        Args:
            checkpoint: trained float network: a checkpoint of ``fit`` or ``model.pth``.
            start: share of the steps after which training rounds.
            freeze: share of the steps after which the ranges stay.
            settings: ranges, equalisation and weight bits to start from.
        """
        if not 0 <= start <= freeze <= 1:
            raise ConfigError(f"QAT: start {start} and freeze {freeze} must be shares, the first the smaller")
        self.checkpoint, self.start, self.freeze = checkpoint, start, freeze
        self.settings = settings or Int8Settings()
        self.reference: dict[str, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Replace the network before the optimiser, the average and the state of a checkpoint see it.

        Raises:
            ConfigError: the config's network is another one, or there are no faces.
        """
        rounds = bool(convolutions(pl_module))
        module: Any = pl_module  # FaceAttributeModule
        if not isinstance(getattr(module, "net", None), FaceNet) or (rounds and (stage != "fit" or self.reference)):
            return
        if stage != "fit":  # the checkpoint that is measured brings weights and ranges
            module.net = fake_quantise(fuse(module.net), bits=self.settings.weight_bits)
            return
        data = getattr(trainer, "datamodule", None)
        if not isinstance(data, FaceDataModule):
            raise ConfigError("QAT needs a FaceDataModule: it calibrates on training faces")
        content = read_checkpoint(self.checkpoint)
        network = load_model(self.checkpoint)
        theirs, ours = content["hyper_parameters"], dict(module.hparams)
        if odd := [f"{k} {ours.get(k)!r} (trained: {theirs.get(k)!r})" for k in SAME if ours.get(k) != theirs.get(k)]:
            raise ConfigError(f"QAT: the config describes another network than {self.checkpoint}: {', '.join(odd)}")
        if (theirs_crop := network.contract.crop) != module.contract.crop:
            raise ConfigError(
                f"QAT: {self.checkpoint} was trained on faces that were cut by data.crop {theirs_crop}, and the config "
                f"says {module.contract.crop}: add --data.crop {theirs_crop}"
            )
        network.contract = module.contract
        self.reference = {
            "model_state_dict": network.state_dict(),
            "hyper_parameters": theirs,
            "contract": module.contract.to_dict(),
        }
        faces = FaceCrops(data.index.part("train").reset_index(drop=True), module.contract)
        crops = faces.sample(self.settings.calibration_faces).first(self.settings.calibration_faces)
        module.net = prepare_qat(network, crops, self.settings).train()
        module.net.to(memory_format=module.layout)
        rank_zero_info(f"QAT: {len(convolutions(module))} convolutions round as INT8")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Enter the phase of this step; a resumed run finds its phase by the same count."""
        by_time = pl_module.hparams.get("schedule_by") == "time"
        done = time_share(trainer) if by_time else trainer.global_step / max(1, int(trainer.estimated_stepping_batches))
        for conv in convolutions(pl_module).values():
            conv.enabled = done >= self.start
            conv.observing = done < self.freeze

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the float network too: INT8 is judged against it."""
        weights = {
            name: tensor.detach().to("cpu", torch.float32)
            for name, tensor in self.reference["model_state_dict"].items()
        }
        checkpoint["qat"] = {
            "reference": self.reference | {"model_state_dict": weights},
            "weight_bits": self.settings.weight_bits,
        }
