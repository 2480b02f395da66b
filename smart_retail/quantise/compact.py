"""Smaller files. INT8: heads in bytes, equal zero points once. FP32: weights stored in 16 bits."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from smart_retail.quantise.graph import attribute, drop_notes

MAX_WEIGHT = 127


def compact(model: onnx.ModelProto) -> None:
    """Make a quantised network smaller, in place; it computes what it did, but for rounded head weights."""
    heads_in_bytes(model)
    share_zero_points(model)
    drop_notes(model)  # the shapes that the quantiser has added


def heads_in_bytes(model: onnx.ModelProto) -> int:
    """Store the weights of the heads in 8 bits with a scale for each output, in place; they compute in float.

    They are a seventh of the file. A cast and a product of constants are folded when a session opens, so
    that the answers take as long as before; a ``DequantizeLinear`` is computed in every run.

    Returns:
        Number of weights stored so.
    """
    graph = model.graph
    wide = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2}
    nodes = [n for n in graph.node if n.op_type == "Gemm" and n.input[1] in wide and attribute(n, "transB", 0)]
    names = list(dict.fromkeys(node.input[1] for node in nodes))
    made = []
    for name in names:
        weight = numpy_helper.to_array(wide[name])
        scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-12) / MAX_WEIGHT
        graph.initializer.remove(wide[name])
        graph.initializer.extend(
            [
                numpy_helper.from_array(np.round(weight / scale).astype(np.int8), f"{name}_bytes"),
                numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"),
            ]
        )
        made += [
            helper.make_node("Cast", [f"{name}_bytes"], [f"{name}_cast"], f"{name}_cast", to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name], f"{name}_mul"),
        ]
    for node in reversed(made):
        graph.node.insert(0, node)
    return len(names)


def half_weights(model: onnx.ModelProto, last: int | None = None) -> int:
    """Store weights in 16 bits, in place; they compute in float32.

    A cast of a constant is folded when a session opens, so that answers take as long as before. Biases and other short
    tensors stay as they are: they are no size.

    Args:
        model: FP32.
        last: only so many, those nearest to the outputs; None for all.

    Returns:
        Number of tensors stored so.
    """
    graph = model.graph
    wide = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) > 1}
    used = list(dict.fromkeys(name for node in graph.node for name in node.input if name in wide))
    names = used if last is None else used[max(0, len(used) - last) :]
    for tensor in [wide[name] for name in names]:
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
        cast = helper.make_node("Cast", [half.name], [tensor.name], f"{tensor.name}_cast", to=TensorProto.FLOAT)
        graph.initializer.remove(tensor)
        graph.initializer.append(half)
        graph.node.insert(0, cast)
    return len(names)


def share_zero_points(model: onnx.ModelProto) -> None:
    """Keep equal zero points of biases once, in place: there is one for each output channel of each layer.

    Those of weights stay: without VNNI ONNX Runtime exchanges them with their weights, by name
    (``Avx2WeightS8ToU8Transformer``), and refuses one that two layers share.
    """
    first: dict[bytes, str] = {}
    names: dict[str, str] = {}
    for tensor in [t for t in model.graph.initializer if t.data_type == TensorProto.INT32 and len(t.dims) == 1]:
        name = first.setdefault(numpy_helper.to_array(tensor).tobytes(), tensor.name)
        if name != tensor.name:
            names[tensor.name] = name
            model.graph.initializer.remove(tensor)
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = names.get(name, name)
