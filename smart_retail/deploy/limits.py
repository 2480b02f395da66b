"""Taking the limit on activations out of a graph before its channels are evened.

A limit is one number for all channels, which evened channels cannot share. INT8 does without it: its
ranges are limits already. See ``models.bounded`` for why there is one.
"""

from __future__ import annotations

import numpy as np
import onnx

from smart_retail.contract import Contract
from smart_retail.deploy.ranges import BATCH, Recorder
from smart_retail.models.bounded import RELU6

RARE = 0.9
"""Share of the faces that a limit must leave alone to be taken out."""
SAME = 1e-3
"""Largest difference of outputs, relative to one, with which a face counts as the same."""


def release(model: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> np.ndarray:
    """Replace clips from zero to a limit by ReLUs, in place, if the limit is a rare thing.

    Args:
        model: FP32.
        crops: (N, S, S, 3) uint8 RGB faces to calibrate on.
        contract: of the network.

    Returns:
        The faces whose answers stay the same: one beyond the limit would stretch the ranges of all others.
        All of them where the limit is no rare thing (a network that has hardly been trained): it then stays.
    """
    limited = onnx.ModelProto()
    limited.CopyFrom(model)
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    clips = [n for n in model.graph.node if n.op_type == "Clip" and set(n.input[1:]) <= constants.keys()]
    limits = [n for n in clips if len(n.input) == 3 and constants[n.input[1]] == 0 and constants[n.input[2]] > RELU6]
    for node in limits:
        node.op_type = "Relu"
        del node.input[1:]
    same = _same(limited, model, crops, contract) if limits else np.ones(len(crops), bool)
    if same.mean() < RARE:
        model.CopyFrom(limited)
        return crops
    kept: np.ndarray = crops[same]
    return kept


def _same(limited: onnx.ModelProto, released: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> np.ndarray:
    outputs = [value.name for value in limited.graph.output]
    both = [Recorder(model, outputs, contract) for model in (limited, released)]
    same = []
    for start in range(0, len(crops), BATCH):
        ours, theirs = (recorder.run(crops[start : start + BATCH]) for recorder in both)
        far = [np.abs(ours[n] - theirs[n]) / (1 + np.abs(ours[n])) > SAME for n in outputs]
        same.append(~np.any(np.concatenate(far, 1), axis=1))
    return np.concatenate(same)
