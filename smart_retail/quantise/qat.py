"""Into quantisation-aware training and out of it: the start from a float network, the QDQ file at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch

from smart_retail.export.onnx import export_network
from smart_retail.files import write_aside
from smart_retail.models.fake_quantise import convolutions, fake_quantise, fuse, input_ranges, to_float
from smart_retail.models.network import FaceNet
from smart_retail.quantise.compact import compact
from smart_retail.quantise.post_training import (
    Int8Settings,
    best_ranges,
    calibrate,
    check_kernels,
    count_kernels,
    equalise_with_limits,
    write_quantised,
)

PREFIX = "network."
"""What the exported network puts before its parameters' names."""


def prepare_qat(network: FaceNet, crops: np.ndarray, settings: Int8Settings) -> FaceNet:
    """Return a fused copy that rounds as INT8 does, equalised and with calibrated ranges.

    Args:
        network: trained, with its contract; stays as it is.
        crops: (N, S, S, 3) uint8 RGB training faces.
        settings: those of post-training quantisation: QAT starts where it ends.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "float.onnx"
        export_network(network, path, crops[:16], ages=False)
        model = onnx.load(path)
    if settings.equalise:
        crops = equalise_with_limits(model, crops, network.contract, settings.equalise_share)
    ranges = best_ranges(model, crops, network.contract, settings)
    fused = fuse(network)
    _load_weights(fused, model)
    found = {name: ranges[tensor] for name, tensor in _inputs(model).items() if tensor in ranges}
    return fake_quantise(fused, found, settings.weight_bits)


def quantise_qat(
    network: FaceNet, path: Path, crops: np.ndarray, settings: Int8Settings, shape: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Write the INT8 form of a network from quantisation-aware training.

    Ranges are those the training ended with; what it does not round (the last feature map) is calibrated.

    Args:
        network: as ``load_model`` gives it; its rounding is taken out.
        path: file to write.
        crops: (N, S, S, 3) uint8 RGB training faces.
        shape: input and outputs, see ``export_network``.
        settings: ``equalise`` and ``weight_bits`` are the training's and ignored here, and so are ``correct_bias``
            and ``correct_heads``.

    Returns:
        What was done, for the manifest.

    Raises:
        ExportError: ONNX Runtime runs a convolution in float that should be integer.
    """
    bits = next(iter(convolutions(network).values())).bits
    trained = input_ranges(network)
    with TemporaryDirectory() as folder:
        source = Path(folder) / "float.onnx"
        export_network(to_float(network), source, crops[:16], **(shape or {"ages": False}))
        model = onnx.load(source)
    return _write(model, path, crops, network, trained, Int8Settings(**(asdict(settings) | {"weight_bits": bits})))


def _write(
    model: onnx.ModelProto,
    path: Path,
    crops: np.ndarray,
    network: FaceNet,
    trained: dict[str, tuple[float, float]],
    settings: Int8Settings,
) -> dict[str, Any]:
    learnt = {tensor: trained[name] for name, tensor in _inputs(model).items() if name in trained}
    ranges = calibrate(model, crops, network.contract, settings) | learnt
    with write_aside(path) as aside:
        write_quantised(model, aside, ranges, settings)
        # Without a limit on its activations a rare face stretches what no range was trained for; behind
        # trained ranges it does not.
        made = onnx.load(aside)
        rounded = {node.input[0] for node in made.graph.node if node.op_type == "QuantizeLinear"}
        behind = calibrate(made, crops, network.contract, settings, sorted(rounded - set(learnt)))
        # In that file a ReLU may have become part of the rounding: the lower end stays the float network's.
        ranges |= {tensor: (max(low, ranges[tensor][0]), high) for tensor, (low, high) in behind.items()}
        write_quantised(model, aside, ranges, settings)
        made = onnx.load(aside)
        compact(made)
        onnx.save(made, aside)
        kernels = count_kernels(aside)
        check_kernels(kernels, model)
    return {"method": "quantisation-aware training", "settings": asdict(settings), "kernels": kernels}


def _inputs(model: onnx.ModelProto) -> dict[str, str]:
    """Return the input tensor of each convolution by the convolution's name in PyTorch."""
    return {
        node.input[1].removeprefix(PREFIX).removesuffix(".weight"): node.input[0]
        for node in model.graph.node
        if node.op_type == "Conv"
    }


def _load_weights(network: FaceNet, model: onnx.ModelProto) -> None:
    """Copy the weights of an exported network back, by name."""
    state = network.state_dict()
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix(PREFIX)
        if name in state and tuple(tensor.dims) == tuple(state[name].shape):
            state[name] = torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
    network.load_state_dict(state)
