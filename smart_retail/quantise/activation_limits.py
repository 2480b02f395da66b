"""The limit on activations in a graph whose channels are to be equalised, and its end.

A limit is one number for all channels of a tensor, which equalised channels cannot share: each gets its own first.
INT8 does without: its ranges are limits already. See ``models.bounded`` for why there is one.
"""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import onnx

from smart_retail.contract import Contract
from smart_retail.models.bounded import RELU6
from smart_retail.quantise.graph import array, weights_of
from smart_retail.quantise.recorder import answers

MIN_SHARE_WITHIN = 0.9
"""Share of the faces that a limit must leave alone to count as a rare thing."""
SAME = 1e-3
"""Largest difference of outputs, relative to one, with which a face counts as the same."""


def split_limits(model: onnx.ModelProto) -> int:
    """Turn each clip from zero to a limit into a ReLU and a ``Min`` with a limit for each channel, in place.

    Args:
        model: FP32; computes what it did.

    Returns:
        Number of limits.
    """
    constants = {name: array(tensor) for name, tensor in weights_of(model).items()}
    clips = [n for n in model.graph.node if n.op_type == "Clip" and set(n.input[1:]) <= constants.keys()]
    clips = [n for n in clips if len(n.input) == 3 and constants[n.input[1]] == 0 and constants[n.input[2]] > RELU6]
    for node in clips:
        limits = onnx.numpy_helper.from_array(
            np.float32(constants[node.input[2]]).reshape(1, 1, 1), f"{node.name}_limits"
        )
        model.graph.initializer.append(limits)
        ends, node.op_type = node.output[0], "Relu"
        del node.input[1:]
        node.output[0] = f"{ends}_unlimited"
        least = onnx.helper.make_node("Min", [node.output[0], limits.name], [ends], f"{node.name}_limit")
        model.graph.node.insert(list(model.graph.node).index(node) + 1, least)
    return len(clips)


def without_limits(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a network after ``split_limits`` whose ReLUs have no end; its tensors keep their names."""
    free = deepcopy(model)
    made = {node.output[0]: node for node in free.graph.node}
    for node in [n for n in free.graph.node if n.op_type == "Min" and n.name.endswith("_limit")]:
        made[node.input[0]].output[0] = node.output[0]
        free.graph.node.remove(node)
    return free


def faces_within(model: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> np.ndarray:
    """Return the faces whose answers no limit changes: one beyond would stretch the ranges of all others.

    All of them where that is no rare thing: the network then needs those ranges.

    Args:
        model: FP32, after ``split_limits``.
        crops: (N, S, S, 3) uint8 RGB faces to calibrate on.
        contract: of the network.
    """
    limited, free = (answers(network, crops, contract) for network in (model, without_limits(model)))
    same = ~np.any([(np.abs(v - free[n]) / (1 + np.abs(v)) > SAME).any(axis=1) for n, v in limited.items()], axis=0)
    kept: np.ndarray = crops[same] if same.mean() >= MIN_SHARE_WITHIN else crops
    return kept
