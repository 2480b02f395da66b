"""How far the answers of a quantised network are from those of its float network."""

from __future__ import annotations

import numpy as np
import onnx

from smart_retail.contract import Contract
from smart_retail.quantise.ranges import BATCH, Recorder


def deviation(model: onnx.ModelProto, quantised: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> float:
    """Return by how much a quantised network differs from its float network, without a label.

    Of each output the root mean square difference, as a share of the standard deviation that the float network's
    answers have over these faces; then the mean over the outputs. 0 is no difference, 1 is as far off as another face.

    Args:
        model: FP32.
        quantised: the same in INT8.
        crops: (N, S, S, 3) uint8 RGB faces.
        contract: of the network.
    """
    names = [value.name for value in model.graph.output]
    both = [Recorder(network, names, contract) for network in (model, quantised)]
    answers: list[dict[str, list[np.ndarray]]] = [{name: [] for name in names} for _ in both]
    for start in range(0, len(crops), BATCH):
        for recorder, told in zip(both, answers, strict=True):
            for name, values in recorder.run(crops[start : start + BATCH]).items():
                told[name].append(values)
    shares = []
    for name in names:
        expected, found = (np.concatenate(told[name]).astype(np.float64) for told in answers)
        spread = max(float(expected.var(axis=0).mean()), 1e-12)
        shares.append(float(np.sqrt(((found - expected) ** 2).mean() / spread)))
    return float(np.mean(shares))
