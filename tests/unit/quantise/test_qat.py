"""A network in and after quantisation-aware training."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import onnx
import pytest
import torch

from smart_retail.callbacks.qat import QuantisationAware
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.export.export import drawn_faces
from smart_retail.models.fake_quantise import convolutions, fake_quantise, fuse
from smart_retail.models.load import load_model
from smart_retail.quantise.post_training import Int8Settings
from smart_retail.quantise.qat import prepare_qat, quantise_qat
from smart_retail.training.module import FaceAttributeModule


def test_what_is_not_trained_is_calibrated_behind_the_trained_ranges(checkpoint: Path, tmp_path: Path) -> None:
    crops = drawn_faces(32, 8)
    network = prepare_qat(load_model(checkpoint), crops, Int8Settings())
    scales = []
    # Narrow ranges, as if most of what float lets through were a rare face's.
    for share in (1.0, 0.2):
        narrow = deepcopy(network).eval()
        for conv in convolutions(narrow).values():
            conv.input_range.mul_(share)
        quantise_qat(narrow, tmp_path / "q.onnx", crops, Int8Settings())
        scale, zero = _last_rounding(tmp_path / "q.onnx")
        assert zero == 0  # else the ReLU, which has become part of the rounding, would be gone
        scales.append(scale)
    assert scales[1] < 0.5 * scales[0]


@pytest.mark.parametrize("measure", ["validate", "test"])
def test_a_checkpoint_is_measured_as_it_rounds(tmp_path: Path, measure: str) -> None:
    trained, module = (FaceAttributeModule("test_resnet", image_size=32) for _ in range(2))
    trained.net = fake_quantise(fuse(trained.net), bits=7)
    for conv in convolutions(trained).values():
        conv.input_range.mul_(3)
    content = {"state_dict": trained.state_dict(), "contract": trained.contract.to_dict()}
    torch.save(content | {"pytorch-lightning_version": pl.__version__}, tmp_path / "best.ckpt")
    callback = QuantisationAware("start.pth", settings=Int8Settings(weight_bits=7))
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(accelerator="cpu", callbacks=[callback], **quiet)
    data = FaceDataModule([SyntheticFaces(64)], image_size=32, workers=0)
    getattr(trainer, measure)(module, datamodule=data, ckpt_path=tmp_path / "best.ckpt", weights_only=True)
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(module.eval()(images).gender, trained.eval()(images).gender)


def _last_rounding(path: Path) -> tuple[float, int]:
    model = onnx.load(path)
    constants = {t.name: t for t in model.graph.initializer}
    last = [node for node in model.graph.node if node.op_type == "QuantizeLinear"][-1]
    scale, zero = (onnx.numpy_helper.to_array(constants[name]) for name in last.input[1:])
    return float(np.max(scale)), int(np.max(zero))
