"""Static post-training quantisation: an FP32 file in, a QDQ file with integer kernels out."""

from __future__ import annotations

import collections
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx

from smart_retail.contract import INT8_TOP, Contract
from smart_retail.data.face_crops import FaceCrops
from smart_retail.errors import ConfigError, DataError, ExportError
from smart_retail.files import write_aside
from smart_retail.quantise.activation_limits import faces_within, split_limits, without_limits
from smart_retail.quantise.bias_correction import correct_biases, correct_heads
from smart_retail.quantise.compact import compact
from smart_retail.quantise.deviation import deviation
from smart_retail.quantise.equalisation import equalise
from smart_retail.quantise.ranges import Range, Recorder, activations, find_ranges

OPERATORS = ("Conv", "Relu", "Clip", "Add", "MaxPool")
"""Quantised operators. The heads compute in float: they cost nothing and decide everything."""
INTEGER_KERNELS = ("QLinearConv", "ConvInteger")


@dataclass(frozen=True)
class Int8Settings:
    """How a network is quantised after its training.

    Attributes:
        calibration_faces: training crops that set the ranges of the activations.
        ranges: how: minmax, percentile or mse; auto makes a network by percentile and one by mse, and keeps the one
            whose answers deviate less from FP32, see ``quantise.deviation``. Neither is better for every network
            (docs/measured.md). Quantisation-aware training compares them before any correction.
        percentile: share in percent of an activation that stays inside, for percentile.
        weight_bits: 8 is more accurate. On x86 without VNNI its kernels overflow unless the session asks
            for ``session.x64quantprecision`` (the Predictor does; INT8 is then 1.2 to 1.3 times
            as fast as FP32). 7 never overflows and is fast everywhere, but loses more (docs/measured.md).
        per_channel: a scale for each output channel of a weight.
        equalise: even out channels before quantising, see ``quantise.equalisation``.
        equalise_share: of the unevenness that dense weights take over from the activations, 0 to 1.
        correct_bias: take back the shift of the means, see ``quantise.bias_correction``.
        correct_heads: the same once more for what is left of the shift in the heads' inputs.
    """

    calibration_faces: int = 1024
    ranges: Literal["auto", "minmax", "percentile", "mse"] = "auto"
    percentile: float = 99.99
    weight_bits: int = 8
    per_channel: bool = True
    equalise: bool = True
    equalise_share: float = 0.5
    correct_bias: bool = True
    correct_heads: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        if self.weight_bits not in INT8_TOP:
            raise ConfigError(f"int8.weight_bits {self.weight_bits} is neither 7 nor 8")
        if self.calibration_faces < 1:
            raise ConfigError(f"int8.calibration_faces {self.calibration_faces} must be 1 or more")
        if not 0 <= self.equalise_share <= 1:
            raise ConfigError(f"int8.equalise_share {self.equalise_share} is outside 0 to 1")
        if not 90 <= self.percentile <= 100:
            raise ConfigError(f"int8.percentile {self.percentile} is outside 90 to 100")

    @property
    def methods(self) -> tuple[str, ...]:
        """How ranges are found, one after the other."""
        return ("percentile", "mse") if self.ranges == "auto" else (self.ranges,)


def quantise(source: Path, path: Path, faces: FaceCrops, settings: Int8Settings, seed: int = 0) -> dict[str, Any]:
    """Write the INT8 form of an exported network.

    Args:
        source: FP32 file.
        path: file to write.
        faces: training faces to calibrate on; never validation or test.
        settings: how.
        seed: of the draw.

    Returns:
        What was done, for the manifest: settings, what ranges were chosen and the deviation of each candidate,
        count of integer kernels.

    Raises:
        DataError: no face to calibrate on.
        ExportError: ONNX Runtime runs a convolution in float that should be integer.
    """
    if not len(faces):
        raise DataError("no training face to calibrate INT8 on")
    crops = faces.sample(settings.calibration_faces, seed).first(settings.calibration_faces)
    return quantise_crops(source, path, crops, faces.contract, settings)


def quantise_crops(
    source: Path, path: Path, crops: np.ndarray, contract: Contract, settings: Int8Settings
) -> dict[str, Any]:
    """Like ``quantise``, calibrated on (N, S, S, 3) uint8 RGB crops."""
    reference, model = onnx.load(source), onnx.load(source)
    if settings.equalise:
        crops = equalise_with_limits(model, crops, contract, settings.equalise_share)
    names = activations(without_limits(model), OPERATORS)
    recorder = Recorder(model, names, contract)
    found = find_ranges(recorder, crops, methods=settings.methods, percentile=settings.percentile)
    with write_aside(path) as aside:
        made = {m: _make(reference, model, aside, crops, contract, settings, r) for m, r in found.items()}
        deviations = {m: deviation(reference, network, crops, contract) for m, network in made.items()}
        chosen = min(deviations, key=lambda method: deviations[method])
        onnx.save(made[chosen], aside)
        kernels = count_kernels(aside)
        check_kernels(kernels, model)
    return {
        "method": "static post-training quantisation",
        "settings": asdict(settings) | {"calibration_faces": len(crops)},
        "ranges": {"chosen": chosen, "deviation": deviations},
        "kernels": kernels,
        "session_without_vnni": {"session.x64quantprecision": "1"} if settings.weight_bits == 8 else {},
    }


def _make(
    reference: onnx.ModelProto,
    evened: onnx.ModelProto,
    aside: Path,
    crops: np.ndarray,
    contract: Contract,
    settings: Int8Settings,
    ranges: dict[str, Range],
) -> onnx.ModelProto:
    """Return the network quantised with these ranges; ``aside`` is written over."""
    model = onnx.ModelProto()
    model.CopyFrom(evened)
    if settings.correct_bias:
        bits, per_channel = settings.weight_bits, settings.per_channel
        correct_biases(model, crops, contract, bits=bits, per_channel=per_channel)
    write_quantised(without_limits(model), aside, ranges, settings)
    made = onnx.load(aside)
    if settings.correct_heads:
        correct_heads(reference, made, crops, contract)
    compact(made)
    return made


def equalise_with_limits(model: onnx.ModelProto, crops: np.ndarray, contract: Contract, share: float) -> np.ndarray:
    """Even out the channels, and the limits on activations with them, in place; return the faces to calibrate on."""
    if split_limits(model):
        crops = faces_within(model, crops, contract)
    equalise(model, crops, contract, share)
    return crops


def calibrate(
    model: onnx.ModelProto,
    crops: np.ndarray,
    contract: Contract,
    settings: Int8Settings,
    names: Sequence[str] | None = None,
) -> dict[str, Range]:
    """Return the ranges of the named activations, or of all that the quantised operators have, by the first method."""
    recorder = Recorder(model, activations(model, OPERATORS) if names is None else names, contract)
    method = settings.methods[0]
    return find_ranges(recorder, crops, methods=(method,), percentile=settings.percentile)[method]


def best_ranges(
    model: onnx.ModelProto, crops: np.ndarray, contract: Contract, settings: Int8Settings
) -> dict[str, Range]:
    """Return the ranges of all activations by the method whose network, rounded and not corrected, deviates least."""
    recorder = Recorder(model, activations(without_limits(model), OPERATORS), contract)
    found = find_ranges(recorder, crops, methods=settings.methods, percentile=settings.percentile)
    deviations = dict.fromkeys(found, 0.0)
    if len(found) > 1:
        with TemporaryDirectory() as folder:
            for method, ranges in found.items():
                path = Path(folder) / f"{method}.onnx"
                write_quantised(without_limits(model), path, ranges, settings)
                deviations[method] = deviation(model, onnx.load(path), crops, contract)
    return found[min(deviations, key=lambda method: deviations[method])]


def convolutions(model: onnx.ModelProto) -> list[str]:
    """Return the names of the convolutions, in the order of the graph."""
    return [node.name for node in model.graph.node if node.op_type == "Conv"]


def write_quantised(model: onnx.ModelProto, path: Path, ranges: dict[str, Range], settings: Int8Settings) -> None:
    """Write a network with Q/DQ pairs around its convolutions.

    Args:
        model: FP32.
        path: file to write.
        ranges: of the activations.
        settings: how.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data

    found = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    quiet = logging.getLogger()
    level, props = quiet.level, {p.key: p.value for p in model.metadata_props}
    quiet.setLevel(logging.ERROR)  # it advises a preparation that the exporter has done
    try:
        with TemporaryDirectory() as folder:
            cache, plain = Path(folder) / "ranges.json", Path(folder) / "plain.onnx"
            save_tensors_data(TensorsData(CalibrationMethod.MinMax, found), cache)
            onnx.save(model, plain)
            quantize_static(
                plain,
                path,
                op_types_to_quantize=list(OPERATORS),
                per_channel=settings.per_channel,
                reduce_range=settings.weight_bits == 7,
                # Unsigned, so that a ReLU is a clip at zero and fuses.
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibration_cache_path=cache,
            )
    finally:
        quiet.setLevel(level)
    made = onnx.load(path)
    onnx.helper.set_model_props(made, props)
    onnx.save(made, path)


def count_kernels(path: Path) -> dict[str, int]:
    """Return what ONNX Runtime really runs: convolutions by kernel, after its own optimisation."""
    import onnxruntime as ort

    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        counts = collections.Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)
    return {name: n for name, n in sorted(counts.items()) if "Conv" in name}


def check_kernels(kernels: dict[str, int], model: onnx.ModelProto) -> None:
    """Compare the count of integer kernels with the convolutions of the network.

    Raises:
        ExportError: some run in float.
    """
    expected = len(convolutions(model))
    integer = sum(kernels.get(name, 0) for name in INTEGER_KERNELS)
    if integer != expected:
        raise ExportError(f"{integer} convolutions run as integer kernels, not all {expected} ({kernels})")
