"""The way from a float network to INT8: an FP32 file in, a file with integer kernels out, trained for it or not."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import onnx

from smart_retail.contract import INT8_TOP, Contract
from smart_retail.data.face_crops import FaceCrops
from smart_retail.errors import ConfigError, DataError
from smart_retail.files import write_aside
from smart_retail.quantise.activation_limits import faces_within, split_limits, without_limits
from smart_retail.quantise.bias_correction import correct_biases, correct_heads
from smart_retail.quantise.compact import compact
from smart_retail.quantise.equalisation import equalise
from smart_retail.quantise.graph import convolution_inputs
from smart_retail.quantise.kernels import OPERATORS, integer_kernels, with_rounding
from smart_retail.quantise.ranges import Range, activations, find_ranges
from smart_retail.quantise.recorder import Recorder, deviation


@dataclass(frozen=True)
class Int8Settings:
    """How a network becomes INT8.

    Attributes:
        calibration_faces: training crops that set the ranges of the activations.
        ranges: how: minmax, percentile or mse; auto makes a network by percentile and one by mse, and keeps the one
            whose answers deviate less from FP32, see ``quantise.recorder``. Neither is better for every network
            (docs/measured.md).
        percentile: share in percent of an activation that stays inside, for percentile.
        weight_bits: 8 is more accurate. On x86 without VNNI its kernels overflow unless the session asks
            for ``session.x64quantprecision`` (the Predictor does; INT8 is then 1.2 to 1.3 times
            as fast as FP32). 7 never overflows, is 1.7 to 1.8 times as fast there, and loses a little more: for a
            shop whose devices have no VNNI (docs/measured.md).
        correct_bias: take back the shift of the means that rounding brings, see ``quantise.bias_correction``. After
            quantisation-aware training there is none: the training has learnt to live with it.
    """

    calibration_faces: int = 1024
    ranges: Literal["auto", "minmax", "percentile", "mse"] = "auto"
    percentile: float = 99.99
    weight_bits: int = 8
    correct_bias: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        if self.weight_bits not in INT8_TOP:
            raise ConfigError(f"int8.weight_bits {self.weight_bits} is neither 7 nor 8")
        if self.calibration_faces < 1:
            raise ConfigError(f"int8.calibration_faces {self.calibration_faces} must be 1 or more")
        if not 90 <= self.percentile <= 100:
            raise ConfigError(f"int8.percentile {self.percentile} is outside 90 to 100")

    @property
    def methods(self) -> tuple[str, ...]:
        """How ranges are found, one after the other."""
        return ("percentile", "mse") if self.ranges == "auto" else (self.ranges,)


class Candidate(NamedTuple):
    """A network in INT8, by one method to find ranges.

    Attributes:
        weights: the float network that it rounds, equalised and with corrected biases.
        ranges: of the activations by tensor.
        quantised: the INT8 network.
        deviation: of its answers from the float network's.
    """

    weights: onnx.ModelProto
    ranges: dict[str, Range]
    quantised: onnx.ModelProto
    deviation: float


def calibration_crops(faces: FaceCrops, settings: Int8Settings, seed: int = 0) -> np.ndarray:
    """Return (N, S, S, 3) uint8 RGB training faces to calibrate on, drawn by the seed.

    Raises:
        DataError: there is none.
    """
    if not len(faces):
        raise DataError("no training face to calibrate INT8 on")
    return faces.sample(settings.calibration_faces, seed).first(settings.calibration_faces)


def quantise(
    source: Path,
    path: Path,
    crops: np.ndarray,
    contract: Contract,
    settings: Int8Settings,
    trained: Mapping[str, Range] | None = None,
) -> dict[str, Any]:
    """Write the INT8 form of an exported network.

    Args:
        source: FP32 file.
        path: file to write.
        crops: (N, S, S, 3) uint8 RGB training faces to calibrate on; never validation or test.
        contract: of the network.
        settings: how.
        trained: after quantisation-aware training the input's range of each convolution, by its name in PyTorch.

    Returns:
        What was done, for the manifest: settings, what ranges were chosen and the deviation of each candidate,
        count of integer kernels.

    Raises:
        ExportError: ONNX Runtime runs a convolution in float that should be integer.
    """
    found = candidates(onnx.load(source), crops, contract, settings, trained)
    chosen = best(found)
    with write_aside(path) as aside:
        onnx.save(found[chosen].quantised, aside)
        kernels = integer_kernels(aside)
    return {
        "method": "static post-training quantisation" if trained is None else "quantisation-aware training",
        "settings": asdict(settings) | {"calibration_faces": len(crops)},
        "ranges": {"chosen": chosen, "deviation": {method: one.deviation for method, one in found.items()}},
        "kernels": kernels,
        "session_without_vnni": {"session.x64quantprecision": "1"} if settings.weight_bits == 8 else {},
    }


def best(found: Mapping[str, Candidate]) -> str:
    """Return the method whose network deviates least."""
    return min(found, key=lambda method: found[method].deviation)


def candidates(
    reference: onnx.ModelProto,
    crops: np.ndarray,
    contract: Contract,
    settings: Int8Settings,
    trained: Mapping[str, Range] | None = None,
) -> dict[str, Candidate]:
    """Return the networks in INT8 by each method to find ranges; see ``quantise``.

    A network that was trained for INT8 keeps its weights and the ranges that it was trained with; what the training
    does not round, the last feature map, is calibrated behind these.
    """
    model = deepcopy(reference)
    if trained is None:
        if split_limits(model):
            crops = faces_within(model, crops, contract)
        equalise(model, crops, contract)
    recorder = Recorder(model, activations(without_limits(model), OPERATORS), contract)
    methods, percentile = settings.methods, settings.percentile
    by_method = find_ranges(recorder, crops, methods=methods, percentile=percentile)
    if trained is None and settings.correct_bias:
        correct_biases(model, crops, contract, settings.weight_bits)
    found = {}
    for method, ranges in by_method.items():
        if trained is None:
            quantised = with_rounding(without_limits(model), ranges, settings.weight_bits)
            if settings.correct_bias:
                correct_heads(reference, quantised, crops, contract)
        else:
            learnt = {t: trained[name] for name, t in convolution_inputs(model).items() if name in trained}
            ranges = _calibrate_behind(model, ranges | learnt, learnt, crops, contract, settings, method)
            quantised = with_rounding(model, ranges, settings.weight_bits)
        compact(quantised)
        found[method] = Candidate(model, ranges, quantised, deviation(reference, quantised, crops, contract))
    return found


def _calibrate_behind(
    model: onnx.ModelProto,
    ranges: dict[str, Range],
    learnt: Mapping[str, Range],
    crops: np.ndarray,
    contract: Contract,
    settings: Int8Settings,
    method: str,
) -> dict[str, Range]:
    """Return the ranges, those that were not trained as they are behind the trained ones.

    Without a limit on its activations a rare face stretches what no range was trained for; behind trained ranges it
    does not.
    """
    rounding = with_rounding(model, ranges, settings.weight_bits)
    rounded = {node.input[0] for node in rounding.graph.node if node.op_type == "QuantizeLinear"}
    recorder = Recorder(rounding, sorted(rounded - set(learnt)), contract)
    behind = find_ranges(recorder, crops, methods=[method], percentile=settings.percentile)[method]
    # In that file a ReLU may have become part of the rounding: the lower end stays the float network's.
    return ranges | {tensor: (max(low, ranges[tensor][0]), high) for tensor, (low, high) in behind.items()}
