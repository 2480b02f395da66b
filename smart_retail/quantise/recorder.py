"""What a network computes inside, and how far the answers of two networks lie apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from tqdm import tqdm

from smart_retail.contract import Contract
from smart_retail.edge.runtime import feed, normalise, open_session

BATCH = 32


class Recorder:
    """Runs faces through a network and yields named activations."""

    def __init__(self, model: onnx.ModelProto, names: Sequence[str], contract: Contract) -> None:
        """Prepare a copy of the network that also answers with its activations."""
        copy = deepcopy(model)
        self.names, self.contract = list(names), contract
        given = {v.name for v in [*copy.graph.output, *copy.graph.input]}
        copy.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in given)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "recorded.onnx"
            onnx.save(copy, path)
            self.session = open_session(path)

    def run(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Return the activations of (N, S, S, 3) uint8 RGB crops by name; a float input counts as one."""
        found = feed(self.session, crops, self.contract)
        entry = self.session.inputs[0].name
        if entry in self.names:
            found[entry] = normalise(crops, self.contract)
        return {name: found[name] for name in self.names}

    def batches(self, crops: np.ndarray, what: str = "") -> Iterator[dict[str, np.ndarray]]:
        """Yield the activations batch by batch; ``what`` stands beside a progress bar, none without it."""
        for start in tqdm(range(0, len(crops), BATCH), desc=what, leave=False, disable=None if what else True):
            yield self.run(crops[start : start + BATCH])


def answers(model: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> dict[str, np.ndarray]:
    """Return what a network answers for (N, S, S, 3) uint8 RGB crops, by output."""
    names = [value.name for value in model.graph.output]
    parts = list(Recorder(model, names, contract).batches(crops))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


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
    ours, theirs = (answers(network, crops, contract) for network in (model, quantised))
    shares = []
    for name, values in ours.items():
        expected, found = values.astype(np.float64), theirs[name].astype(np.float64)
        spread = max(float(expected.var(axis=0).mean()), 1e-12)
        shares.append(float(np.sqrt(((found - expected) ** 2).mean() / spread)))
    return float(np.mean(shares))
