"""The start of quantisation-aware training: the network that post-training quantisation makes, trainable."""

from __future__ import annotations

import numpy as np
import onnx
import torch

from smart_retail.models.fake_quantise import fake_quantise
from smart_retail.models.network import FaceNet
from smart_retail.quantise.graph import array, convolution_inputs, weights_of
from smart_retail.quantise.int8 import Int8Settings, best, candidates


def prepare_qat(network: FaceNet, exported: onnx.ModelProto, crops: np.ndarray, settings: Int8Settings) -> FaceNet:
    """Return a fused copy that rounds as INT8 does, where post-training quantisation ends.

    Args:
        network: trained, with its contract; stays as it is.
        exported: the same in FP32.
        crops: (N, S, S, 3) uint8 RGB training faces.
        settings: those of post-training quantisation.
    """
    found = candidates(exported, crops, network.contract, settings)
    start = found[best(found)]
    inputs = convolution_inputs(start.weights)
    ranges = {name: start.ranges[tensor] for name, tensor in inputs.items() if tensor in start.ranges}
    rounding = fake_quantise(network, ranges, settings.weight_bits)
    state = rounding.state_dict()
    # Of the INT8 network the heads' biases, which are corrected there; all else it holds under other names.
    for name, tensor in (weights_of(start.weights) | weights_of(start.quantised)).items():
        name = name.removeprefix("network.")
        if name in state and tuple(tensor.dims) == tuple(state[name].shape):
            state[name] = torch.from_numpy(array(tensor).copy())
    rounding.load_state_dict(state)
    return rounding
