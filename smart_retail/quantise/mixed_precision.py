"""Mixed precision: convolutions that stay in float, and which of them should, measured on calibration faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from tqdm import tqdm

from smart_retail.contract import Contract
from smart_retail.edge.runtime import feed, open_session
from smart_retail.quantise.ranges import BATCH

FACES = 256
"""Of the calibration that judge a layer: its noise is much the same on all of them."""
LARGEST = 255


def stay_float(quantised: onnx.ModelProto, names: Sequence[str]) -> None:
    """Keep ONNX Runtime from rounding the float weights of convolutions between Q/DQ pairs, in place.

    From 1.21 on it gives such weights one scale a tensor (``WeightBiasQuantization``, its pull requests 22969
    and 25673), which is far worse than the rounding that was to be avoided. It looks for a
    ``DequantizeLinear`` right before the convolution: a clip in between that clips nothing hides it.
    """
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in quantised.graph.initializer}
    made = {node.output[0]: node for node in quantised.graph.node}
    for node in [n for n in quantised.graph.node if n.name in names]:
        before = made.get(node.input[0])
        if before is None or before.op_type != "DequantizeLinear":
            continue
        scale, zero = constants[before.input[1]], int(constants[before.input[2]])
        bounds = [f"{node.name}_lowest", f"{node.name}_highest"]
        for name, value in zip(bounds, (-zero * scale, (LARGEST - zero) * scale), strict=True):
            quantised.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))
        clip = onnx.helper.make_node("Clip", [node.input[0], *bounds], [f"{node.name}_input"], name=f"{node.name}_clip")
        node.input[0] = clip.output[0]
        quantised.graph.node.insert(list(quantised.graph.node).index(node), clip)


def sensitivities(
    model: onnx.ModelProto, quantised: onnx.ModelProto, names: Sequence[str], crops: np.ndarray, contract: Contract
) -> dict[str, float]:
    """Return by convolution how much of the noise in the outputs goes away when it alone stays in float.

    That is just what keeping it brings. The signal-to-noise ratio of a layer, or of a network in which only that
    layer is rounded, also counts its activations, which stay rounded while a neighbour is. The noise
    is relative to the variance of an output over the faces, the mean of all outputs.

    Args:
        model: FP32, as it was quantised.
        quantised: the same with Q/DQ pairs.
        names: of the convolutions to judge.
        crops: (N, S, S, 3) uint8 RGB training faces, of which ``FACES`` are used.
        contract: of the network.
    """
    crops = crops[:FACES]
    reference = _outputs(model, crops, contract)
    everything = _noise(reference, _outputs(quantised, crops, contract))
    inputs = {node.name: node.input[1:] for node in model.graph.node}
    weights = {t.name: t for t in model.graph.initializer}
    found = {}
    for name in tqdm(names, desc="sensitivity", unit="layer", leave=False):
        variant = onnx.ModelProto()
        variant.CopyFrom(quantised)
        node = next(n for n in variant.graph.node if n.name == name)
        for i, weight in enumerate(inputs[name], start=1):
            tensor = variant.graph.initializer.add()
            tensor.CopyFrom(weights[weight])
            tensor.name = node.input[i] = f"{weight}.float"
        stay_float(variant, [name])
        found[name] = everything - _noise(reference, _outputs(variant, crops, contract))
    return found


def _outputs(model: onnx.ModelProto, crops: np.ndarray, contract: Contract) -> dict[str, np.ndarray]:
    with TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / "variant.onnx")
        session = open_session(Path(folder) / "variant.onnx")
    said = [feed(session, crops[i : i + BATCH], contract) for i in range(0, len(crops), BATCH)]
    return {name: np.concatenate([s[name] for s in said]) for name in said[0]}


def _noise(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> float:
    shares = [
        np.square(found[name] - values).sum() / max(1e-12, np.square(values - values.mean(axis=0)).sum())
        for name, values in expected.items()
    ]
    return float(np.mean(shares))
