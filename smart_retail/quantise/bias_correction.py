"""Bias correction: rounding weights shifts the mean of every channel; the bias takes it back."""

from __future__ import annotations

import numpy as np
import onnx

from smart_retail.contract import INT8_TOP, Contract
from smart_retail.quantise.graph import array, attribute, store, unshare_weights, weights_of
from smart_retail.quantise.recorder import Recorder


def correct_biases(model: onnx.ModelProto, crops: np.ndarray, contract: Contract, bits: int) -> int:
    """Subtract from each convolution's bias what rounding its weights adds on average, in place.

    The expected shift is the rounding error of the weights times the mean of the inputs (Nagel et al.
    2019, arXiv:1906.04721, section 4.2), the means measured on faces.

    Args:
        model: FP32, equalised.
        crops: (N, S, S, 3) uint8 RGB faces.
        contract: of the network.
        bits: of the weights.

    Returns:
        Number of convolutions corrected.
    """
    unshare_weights(model)
    weights = weights_of(model)
    nodes = [
        node
        for node in model.graph.node
        if node.op_type == "Conv" and len(node.input) == 3 and set(node.input[1:]) <= set(weights)
    ]
    means = _means(model, sorted({node.input[0] for node in nodes}), crops, contract)
    for node in nodes:
        weight = array(weights[node.input[1]]).astype(np.float64)
        largest = np.abs(weight).max(axis=(1, 2, 3), keepdims=True)
        scale = np.maximum(largest / INT8_TOP[bits], 1e-12)
        error = (np.round(weight / scale) * scale - weight).sum(axis=(2, 3))
        inputs = means[node.input[0]]
        groups = len(inputs) // weight.shape[1]
        of_group = inputs.reshape(groups, weight.shape[1]).repeat(len(weight) // groups, axis=0)
        bias = weights[node.input[2]]
        store(bias, array(bias) - (error * of_group).sum(axis=1))
    return len(nodes)


def correct_heads(model: onnx.ModelProto, quantised: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> int:
    """Shift the biases of the float heads by what INT8 has done to the mean of their inputs, in place.

    What is left after every layer's own correction adds up in the pooled features, and the age, an
    expectation over a hundred years, feels it first.

    Args:
        model: FP32.
        quantised: the same in INT8, whose heads are changed.
        crops: (N, S, S, 3) uint8 RGB faces.
        contract: of the network.

    Returns:
        Number of heads corrected.
    """
    unshare_weights(quantised, "Gemm")
    weights = weights_of(quantised)
    heads = [
        node
        for node in quantised.graph.node
        if node.op_type == "Gemm"
        and len(node.input) == 3
        and set(node.input[1:]) <= set(weights)
        and attribute(node, "transB", 0) == 1
    ]
    if not heads:
        return 0
    names = sorted({node.input[0] for node in heads})
    expected, found = (_means(m, names, crops, contract) for m in (model, quantised))
    for node in heads:
        shift = expected[node.input[0]] - found[node.input[0]]
        weight, bias = (array(weights[name]).astype(np.float64) for name in node.input[1:])
        store(weights[node.input[2]], bias + weight @ shift)
    return len(heads)


def _means(model: onnx.ModelProto, names: list[str], crops: np.ndarray, contract: Contract) -> dict[str, np.ndarray]:
    recorder = Recorder(model, names, contract)
    sums: dict[str, np.ndarray] = {}
    for batch in recorder.batches(crops):
        for name, values in batch.items():
            sums[name] = sums.get(name, 0) + values.astype(np.float64).mean(axis=tuple(range(2, values.ndim))).sum(
                axis=0
            )
    return {name: total / len(crops) for name, total in sums.items()}
