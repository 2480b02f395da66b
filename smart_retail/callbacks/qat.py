"""Quantisation-aware training as a callback for any config of ``fit``."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning.pytorch as pl
import onnx
from lightning.pytorch.utilities import rank_zero_info

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.face_crops import FaceCrops
from smart_retail.errors import ConfigError
from smart_retail.export.onnx import export_network
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.fake_quantise import convolutions, fake_quantise
from smart_retail.models.load import load_model
from smart_retail.models.network import FaceNet
from smart_retail.quantise.int8 import Int8Settings, calibration_crops
from smart_retail.quantise.qat import prepare_qat

SAME = ("backbone", "age_head", "age_sigma")


class QuantisationAware(pl.Callback):
    """Fine-tunes a trained network while its convolutions round as their integer kernels will.

    It starts where post-training quantisation ends. Ranges stay as they were calibrated: no limit holds the
    activations of a fused network, and rare faces of the training would stretch ranges that follow them a hundredfold.
    Validation rounds, too, so the best checkpoint is the best INT8 network; ``smart-retail export`` takes it like any
    other. Stopped runs go on with ``--ckpt_path last``.
    """

    def __init__(self, checkpoint: str, settings: Int8Settings | None = None) -> None:
        """Set what to start from.

        Args:
            checkpoint: trained float network: a run's folder (its best), a checkpoint of ``fit`` or ``model.pth``.
            settings: of the post-training quantisation that the training starts from.
        """
        self.checkpoint, self.settings = checkpoint, settings or Int8Settings()
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
            module.net = fake_quantise(module.net, bits=self.settings.weight_bits)
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
        crops = calibration_crops(faces, self.settings)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "float.onnx"
            export_network(network, path, crops[:16], ages=False)
            module.net = prepare_qat(network, onnx.load(path), crops, self.settings).train()
        module.net.to(memory_format=module.layout)
        rank_zero_info(f"QAT: {len(convolutions(module))} convolutions round as INT8")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the float network too: INT8 is judged against it."""
        weights = self.reference["model_state_dict"]
        checkpoint["qat"] = {
            "reference": self.reference | {"model_state_dict": {n: v.cpu().float() for n, v in weights.items()}},
            "weight_bits": self.settings.weight_bits,
        }
