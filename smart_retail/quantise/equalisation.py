"""Channel equalisation: even channels before one scale has to fit them all.

A fused block's channels differ in range by orders of magnitude, and INT8 activations have one scale
for all of them. Between two convolutions with a ReLU in between a channel can be divided by any
positive number and multiplied back in the next weights (Nagel et al. 2019, arXiv:1906.04721): the
network stays the same, its ranges do not.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import onnx

from smart_retail.contract import Contract
from smart_retail.quantise.ranges import BATCH, Recorder

LIMIT = 1e4
"""Largest ratio between two scales of a tensor; beyond it a dead channel would decide."""


class Pair(NamedTuple):
    """Two convolutions, the activation between them, and the name of its limits by channel, if there are any."""

    first: onnx.NodeProto
    between: str
    second: onnx.NodeProto
    limits: str | None


def equalise(model: onnx.ModelProto, crops: np.ndarray, contract: Contract, share: float = 0.5) -> int:
    """Even out the channels between convolutions, in place.

    Into a depthwise convolution the activations become equal: each of its channels has its own weight
    scale, so that costs nothing. Into a dense one the unevenness is shared between activations and
    weights, which then hold it together.

    Args:
        model: FP32.
        crops: (N, S, S, 3) uint8 RGB faces whose activations are evened out.
        contract: of the network.
        share: of the unevenness that dense weights take over, 0 to 1.

    Returns:
        Number of activations changed.
    """
    unshare_weights(model)
    pairs = find_pairs(model)
    if not pairs:
        return 0
    highest = _channel_maxima(model, [p.between for p in pairs], crops, contract)
    weights = {t.name: t for t in model.graph.initializer}
    for pair in pairs:
        scales = _scales(highest[pair.between], _array(weights[pair.second.input[1]]), _groups(pair.second), share)
        for name in pair.first.input[1:]:
            values = _array(weights[name])
            _store(weights[name], values / scales.reshape(-1, *[1] * (values.ndim - 1)))
        if pair.limits:
            _store(weights[pair.limits], _array(weights[pair.limits]) / scales.reshape(-1, 1, 1))
        values = _array(weights[pair.second.input[1]])
        _store(weights[pair.second.input[1]], values * _by_input(scales, values, _groups(pair.second)))
    return len(pairs)


def unshare_weights(model: onnx.ModelProto, operator: str = "Conv") -> None:
    """Give every convolution weights of its own, in place: the exporter stores equal tensors once."""
    weights = {t.name: t for t in model.graph.initializer}
    seen: set[str] = set()
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name not in weights:
                continue
            if name in seen and node.op_type == operator:
                copy = model.graph.initializer.add()
                copy.CopyFrom(weights[name])
                copy.name = node.input[i] = f"{name}.{node.name}"
            seen.add(name)


def find_pairs(model: onnx.ModelProto) -> list[Pair]:
    """Return convolution, ReLU (with limits by channel), convolution without any other consumer, weights used once."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    uses = Counter(name for node in model.graph.node for name in node.input)
    constants = {t.name for t in model.graph.initializer}
    pairs = []
    for first in model.graph.node:
        relu = _only(users, first.output[0]) if first.op_type == "Conv" else None
        if relu is None or relu.op_type != "Relu":
            continue
        between, limits, second = relu.output[0], None, _only(users, relu.output[0])
        if second is not None and second.op_type == "Min":
            between, limits = second.output[0], second.input[1]
            second = _only(users, between)
        if second is None or second.op_type != "Conv" or second.input[0] != between:
            continue
        names = [*first.input[1:], second.input[1], *([limits] if limits else [])]
        if all(name in constants and uses[name] == 1 for name in names):
            pairs.append(Pair(first, between, second, limits))
    return pairs


def _only(users: dict[str, list[onnx.NodeProto]], name: str) -> onnx.NodeProto | None:
    found = users.get(name, [])
    return found[0] if len(found) == 1 else None


def _channel_maxima(
    model: onnx.ModelProto, names: list[str], crops: np.ndarray, contract: Contract
) -> dict[str, np.ndarray]:
    recorder = Recorder(model, names, contract)
    highest: dict[str, np.ndarray] = {}
    for start in range(0, len(crops), BATCH):
        for name, values in recorder.run(crops[start : start + BATCH]).items():
            found = values.max(axis=(0, 2, 3))
            highest[name] = np.maximum(highest.get(name, found), found)
    return highest


def _scales(highest: np.ndarray, weights: np.ndarray, groups: int, share: float) -> np.ndarray:
    """Return (C,) what each channel is divided by."""
    if groups == len(highest):
        scales = highest.astype(np.float64)
    else:
        outputs, inputs = weights.shape[:2]
        grouped = np.abs(weights).reshape(groups, outputs // groups, inputs, -1)
        used = grouped.max(axis=(1, 3)).reshape(-1)
        scales = highest.astype(np.float64) ** share / np.maximum(used, 1e-12) ** (1 - share)
    alive = highest > 0
    if not alive.any():
        return np.ones(len(highest))
    middle = np.exp(np.log(scales[alive]).mean())
    return np.where(alive, np.clip(scales / middle, LIMIT**-0.5, LIMIT**0.5), 1.0)


def _by_input(scales: np.ndarray, weights: np.ndarray, groups: int) -> np.ndarray:
    """Arrange (C,) scales of the inputs like (O, C / groups, kh, kw) weights."""
    outputs, inputs = weights.shape[:2]
    grouped = np.repeat(scales.reshape(groups, 1, inputs), outputs // groups, axis=1)
    return grouped.reshape(outputs, inputs, 1, 1)


def _groups(node: onnx.NodeProto) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def _array(tensor: onnx.TensorProto) -> np.ndarray:
    return np.asarray(onnx.numpy_helper.to_array(tensor))


def _store(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))
