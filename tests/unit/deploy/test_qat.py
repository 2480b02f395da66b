"""The INT8 file of a network from quantisation-aware training."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import onnx

from smart_retail.deploy.export import drawn_faces
from smart_retail.deploy.qat import prepare_qat, quantise_qat
from smart_retail.deploy.quantize import Int8Settings
from smart_retail.models.fake_quantise import convolutions
from smart_retail.models.load import load_model


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


def _last_rounding(path: Path) -> tuple[float, int]:
    model = onnx.load(path)
    constants = {t.name: t for t in model.graph.initializer}
    last = [node for node in model.graph.node if node.op_type == "QuantizeLinear"][-1]
    scale, zero = (onnx.numpy_helper.to_array(constants[name]) for name in last.input[1:])
    return float(np.max(scale)), int(np.max(zero))
