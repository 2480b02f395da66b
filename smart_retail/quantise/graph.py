"""Weights and nodes of an ONNX graph."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import onnx


def weights_of(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the constants of a network by name."""
    return {tensor.name: tensor for tensor in model.graph.initializer}


def array(tensor: onnx.TensorProto) -> np.ndarray:
    """Return the values of a constant."""
    return np.asarray(onnx.numpy_helper.to_array(tensor))


def store(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    """Replace the values of a constant, as float32."""
    tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), tensor.name))


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """Return an integer setting of a node."""
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def convolution_inputs(model: onnx.ModelProto, prefix: str = "network.") -> dict[str, str]:
    """Return the input tensor of each convolution by the convolution's name in PyTorch.

    Args:
        model: an exported network.
        prefix: what the export puts before the names of its weights.
    """
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return {node.input[1].removeprefix(prefix).removesuffix(".weight"): node.input[0] for node in convolutions}


def unshare_weights(model: onnx.ModelProto, operator: str = "Conv") -> None:
    """Give every convolution weights of its own, in place: the exporter stores equal tensors once."""
    weights = weights_of(model)
    seen: set[str] = set()
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name not in weights:
                continue
            if name in seen and node.op_type == operator:
                copy = model.graph.initializer.add()
                copy.CopyFrom(weights[name])
                copy.name = node.input[i] = f"{name}.{node.name}"
            seen.add(name)


def keep_outputs(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Drop all outputs but these, and whatever only the others need, in place; the answers that stay do not change."""
    from onnxscript.optimizer import remove_unused_nodes  # a second that only this needs

    known = {value.name: value for value in copy.deepcopy(model.graph.output)}
    del model.graph.output[:]
    model.graph.output.extend(known[name] for name in names)
    remove_unused_nodes(model)  # unlike onnx.utils.Extractor it knows what the body of a loop takes from outside
    drop_notes(model)


def drop_notes(model: onnx.ModelProto) -> None:
    """Drop notes on nodes and tensors, and the shapes in between, in place; the model's own properties stay.

    torch.onnx notes the stack of calls behind every node, with the paths of the machine that exported.
    """
    graph = model.graph
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
