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
from smart_retail.edge.runtime import feed, normalise, open_session
from smart_retail.export.export import drawn_faces
from smart_retail.export.onnx import export_network
from smart_retail.models.fake_quantise import convolutions, fake_quantise, input_ranges, to_float
from smart_retail.models.load import load_model
from smart_retail.quantise.int8 import Int8Settings, quantise
from smart_retail.quantise.qat import prepare_qat
from smart_retail.training.module import FaceAttributeModule


@pytest.mark.slow
def test_what_is_not_trained_is_calibrated_behind_the_trained_ranges(
    checkpoint: Path, exported: Path, tmp_path: Path
) -> None:
    crops = drawn_faces(32, 8)
    network = prepare_qat(load_model(checkpoint), onnx.load(exported), crops, Int8Settings())
    scales = []
    # Narrow ranges, as if most of what float lets through were a rare face's.
    for share in (1.0, 0.2):
        ranges = {name: (share * low, share * high) for name, (low, high) in input_ranges(network).items()}
        export_network(to_float(deepcopy(network)).eval(), tmp_path / "float.onnx", crops, ages=False)
        info = quantise(
            tmp_path / "float.onnx", tmp_path / "q.onnx", crops, network.contract, Int8Settings(), trained=ranges
        )
        assert info["method"] == "quantisation-aware training"
        scale, zero = _last_rounding(tmp_path / "q.onnx")
        assert zero == 0  # else the ReLU, which has become part of the rounding, would be gone
        scales.append(scale)
    assert scales[1] < 0.5 * scales[0]


@pytest.mark.parametrize("percentile", [90.0, 100.0])
def test_training_starts_where_post_training_quantisation_ends(
    checkpoint: Path, exported: Path, tmp_path: Path, percentile: float
) -> None:
    """But for the last feature map and the heads' weights, which the file alone rounds."""
    crops, settings, float_network = drawn_faces(32, 8), Int8Settings(percentile=percentile), load_model(checkpoint)
    contract = float_network.contract
    network = prepare_qat(float_network, onnx.load(exported), crops, settings).eval()
    quantise(exported, tmp_path / "q.onnx", crops, contract, settings)
    images = torch.from_numpy(normalise(crops, contract))
    with torch.no_grad():
        ours, plain = (net(images).gender.softmax(1).numpy() for net in (network, float_network))
    theirs = feed(open_session(tmp_path / "q.onnx"), crops, contract)["gender"]
    assert np.abs(ours - theirs).mean() < 0.5 * np.abs(plain - theirs).mean()
    assert all(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize("measure", ["validate", "test"])
def test_a_checkpoint_is_measured_as_it_rounds(tmp_path: Path, measure: str) -> None:
    trained, module = (FaceAttributeModule("test_resnet", image_size=32) for _ in range(2))
    trained.net = fake_quantise(trained.net, bits=7)
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
