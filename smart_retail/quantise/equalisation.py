"""Cross-layer equalisation: channels of like ranges before one scale has to fit them all.

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
from smart_retail.quantise.graph import array, attribute, store, unshare_weights, weights_of
from smart_retail.quantise.recorder import Recorder

LIMIT = 1e4
"""Largest ratio between two scales of a tensor; beyond it a dead channel would decide."""

SHARE = 0.5
"""Of the unevenness of activations that dense weights take over; 0.3 and 0.7 were no better (docs/measured.md)."""


class Pair(NamedTuple):
    """Two convolutions, the activation between them, and the name of its limits by channel, if there are any."""

    first: onnx.NodeProto
    between: str
    second: onnx.NodeProto
    limits: str | None


def equalise(model: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> int:
    """Equalise the channels between convolutions, in place.

    Into a depthwise convolution the activations become equal: each of its channels has its own weight
    scale, so that costs nothing. Into a dense one the unevenness is shared between activations and
    weights, which then hold it together.

    Args:
        model: FP32.
        crops: (N, S, S, 3) uint8 RGB faces whose activations are equalised.
        contract: of the network.

    Returns:
        Number of activations changed.
    """
    unshare_weights(model)
    pairs = find_pairs(model)
    if not pairs:
        return 0
    highest = _channel_maxima(model, [p.between for p in pairs], crops, contract)
    weights = weights_of(model)
    for pair in pairs:
        scales = _scales(
            highest[pair.between], array(weights[pair.second.input[1]]), attribute(pair.second, "group", 1)
        )
        for name in pair.first.input[1:]:
            values = array(weights[name])
            store(weights[name], values / scales.reshape(-1, *[1] * (values.ndim - 1)))
        if pair.limits:
            store(weights[pair.limits], array(weights[pair.limits]) / scales.reshape(-1, 1, 1))
        values = array(weights[pair.second.input[1]])
        store(weights[pair.second.input[1]], values * _by_input(scales, values, attribute(pair.second, "group", 1)))
    return len(pairs)


def find_pairs(model: onnx.ModelProto) -> list[Pair]:
    """Return convolution, ReLU (with limits by channel), convolution without any other consumer, weights used once."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    uses = Counter(name for node in model.graph.node for name in node.input)
    constants = weights_of(model)
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
    for batch in recorder.batches(crops):
        for name, values in batch.items():
            found = values.max(axis=(0, 2, 3))
            highest[name] = np.maximum(highest.get(name, found), found)
    return highest


def _scales(highest: np.ndarray, weights: np.ndarray, groups: int) -> np.ndarray:
    """Return (C,) what each channel is divided by."""
    if groups == len(highest):
        scales = highest.astype(np.float64)
    else:
        outputs, inputs = weights.shape[:2]
        grouped = np.abs(weights).reshape(groups, outputs // groups, inputs, -1)
        used = grouped.max(axis=(1, 3)).reshape(-1)
        scales = highest.astype(np.float64) ** SHARE / np.maximum(used, 1e-12) ** (1 - SHARE)
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
