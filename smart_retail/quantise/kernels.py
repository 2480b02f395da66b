"""ONNX Runtime's part in INT8: its quantiser writes the file, and its sessions tell what they run in integers."""

from __future__ import annotations

import collections
import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx

from smart_retail.contract import WEIGHT_BITS
from smart_retail.errors import ExportError
from smart_retail.quantise.ranges import Range

OPERATORS = ("Conv", "Relu", "Clip", "Add", "MaxPool")
"""Quantised operators. The heads compute in float: they cost nothing and decide everything."""
INTEGER_KERNELS = ("QLinearConv", "ConvInteger")


def with_rounding(model: onnx.ModelProto, ranges: Mapping[str, Range], weight_bits: int) -> onnx.ModelProto:
    """Return a copy with Q/DQ pairs around the convolutions.

    Args:
        model: FP32.
        ranges: of the activations by tensor.
        weight_bits: 7 or 8.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantType, quantize_static
    from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data

    found = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in ranges.items()
    }
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a preparation that the exporter has done
    try:
        with TemporaryDirectory() as folder:
            cache, plain, path = (Path(folder) / name for name in ("ranges.json", "plain.onnx", "quantised.onnx"))
            save_tensors_data(TensorsData(CalibrationMethod.MinMax, found), cache)
            onnx.save(model, plain)
            quantize_static(
                plain,
                path,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                reduce_range=weight_bits == 7,
                # Unsigned, so that a ReLU is a clip at zero and fuses.
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibration_cache_path=cache,
            )
            made = onnx.load(path)
    finally:
        root.setLevel(level)
    told = {WEIGHT_BITS: "7"} if weight_bits == 7 else {}  # a runtime may take its fast kernels everywhere
    onnx.helper.set_model_props(made, {p.key: p.value for p in model.metadata_props} | told)
    return made


def integer_kernels(path: Path) -> dict[str, int]:
    """Return what ONNX Runtime really runs: convolutions by kernel, after its own optimisation.

    Raises:
        ExportError: some run in float.
    """
    import onnxruntime as ort

    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        counts = collections.Counter(n.op_type for n in onnx.load(options.optimized_model_filepath).graph.node)
    found = {name: n for name, n in sorted(counts.items()) if "Conv" in name}
    if odd := found.keys() - INTEGER_KERNELS:
        raise ExportError(f"not all convolutions run as integer kernels: {', '.join(odd)} ({found})")
    return found
