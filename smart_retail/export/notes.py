"""What an exporter writes beside a network: sources, shapes, where the files of the program lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def drop_notes(model: onnx.ModelProto) -> None:
    """Drop notes on nodes and tensors, and the shapes in between, in place; the model's own properties stay.

    torch.onnx notes the stack of calls behind every node, with the paths of the machine that exported.
    """
    graph = model.graph
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
