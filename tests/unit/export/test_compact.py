"""An INT8 file is small, says the same, and tells nothing of the machine that wrote it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper

from smart_retail.contract import Contract
from smart_retail.edge.runtime import feed, open_session
from smart_retail.export import halves
from smart_retail.export.export import drawn_faces
from smart_retail.quantise.compact import compact, half_weights, share_zero_points
from smart_retail.quantise.kernels import OPERATORS, with_rounding
from smart_retail.quantise.ranges import activations, find_ranges
from smart_retail.quantise.recorder import Recorder

CONTRACT = Contract(image_size=32)


def quantised(exported: Path, folder: Path) -> tuple[onnx.ModelProto, Path]:
    """The bundle's network in INT8 as the quantiser leaves it."""
    model = onnx.load(exported)
    recorder = Recorder(model, activations(model, OPERATORS), CONTRACT)
    ranges = find_ranges(recorder, drawn_faces(32, 16), methods=["minmax"], percentile=100)["minmax"]
    onnx.save(with_rounding(model, ranges, 8), folder / "wide.onnx")
    return onnx.load(folder / "wide.onnx"), folder / "wide.onnx"


def test_a_compact_file_says_the_same(exported: Path, tmp_path: Path) -> None:
    model, wide = quantised(exported, tmp_path)
    compact(model)
    onnx.save(model, tmp_path / "small.onnx")
    onnx.checker.check_model(tmp_path / "small.onnx", full_check=True)
    crops = drawn_faces(32, 8)
    expected, found = (feed(open_session(path), crops, CONTRACT) for path in (wide, tmp_path / "small.onnx"))
    for name, values in expected.items():
        spread = np.ptp(values)
        assert np.abs(found[name] - values).max() < 0.02 * max(1.0, float(spread)), name
    weights = sum(np.prod(t.dims) for t in model.graph.initializer if t.data_type == onnx.TensorProto.INT8)
    heads = sum(np.prod(t.dims) for t in model.graph.initializer if t.name.endswith("weight_bytes"))
    assert heads > 1024 * 101 and (tmp_path / "small.onnx").stat().st_size < 1.2 * weights < wide.stat().st_size


def test_weights_in_halves_make_half_a_file_that_computes_in_float(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported)
    whole = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer if t.name.endswith("weight")}
    onnx.save(model, tmp_path / "whole.onnx")
    assert half_weights(model) >= len(whole) > 10
    onnx.save(model, tmp_path / "half.onnx")
    onnx.checker.check_model(tmp_path / "half.onnx", full_check=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("half.onnx", "whole.onnx")]
    assert sizes[0] < 0.56 * sizes[1]
    crops = drawn_faces(32, 8)
    found, expected = (feed(open_session(tmp_path / name), crops, CONTRACT) for name in ("half.onnx", "whole.onnx"))
    for name, values in expected.items():
        assert np.abs(found[name] - values).max() < 0.02 * max(1.0, float(np.abs(values).max())), name


def test_the_last_weights_alone_can_be_in_halves(exported: Path) -> None:
    model = onnx.load(exported)
    assert half_weights(model, 3) == 3
    halves = [t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    assert len(halves) >= 3 and all(any(head in name for name in halves) for head in ("gender", "age", "emotion"))
    assert half_weights(model, 0) == 0


@pytest.mark.parametrize(("allowed", "share"), [(0.0, 1.0), (1e-3, 0.99), (1.0, 0.56)])
def test_as_many_weights_are_in_halves_as_leave_the_answers(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: float, share: float
) -> None:
    path, crops = tmp_path / "network.onnx", drawn_faces(32, 8)
    shutil.copy(exported, path)
    before, size = feed(open_session(path), crops, CONTRACT), path.stat().st_size
    monkeypatch.setattr(halves, "PARITY", allowed)
    told = halves.store_in_halves(path, crops, CONTRACT)
    after = feed(open_session(path), crops, CONTRACT)
    worst = max(np.abs(after[n] - v).max() / max(1.0, np.abs(v).max()) for n, v in before.items())
    assert told == pytest.approx(worst) and worst <= allowed
    assert path.stat().st_size <= share * size


def test_no_run_computes_what_a_session_can_fold(bundle: Path, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(bundle / "model.int8.onnx", options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath).graph
    constants = {t.name for t in graph.initializer}
    assert "Cast" not in {node.op_type for node in graph.node}
    assert all(node.input[1] in constants for node in graph.node if node.op_type == "Gemm")


def test_equal_zero_points_of_biases_are_kept_once() -> None:
    parts = [numpy_helper.from_array(np.zeros(4, kind), name) for name, kind in
             [("a", np.int32), ("b", np.int32), ("c", np.int8), ("d", np.int8)]]  # fmt: skip
    node = onnx.helper.make_node("Sum", ["a", "b"], ["out"])
    out = onnx.helper.make_tensor_value_info("out", onnx.TensorProto.INT32, [4])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [out], parts))
    share_zero_points(model)
    assert [t.name for t in model.graph.initializer] == ["a", "c", "d"]
    assert list(model.graph.node[0].input) == ["a", "a"]


def test_a_file_tells_no_path_of_the_machine(bundle: Path) -> None:
    for path in bundle.glob("*.onnx"):
        content = path.read_bytes()
        assert b"stack_trace" not in content and b".py" not in content, path.name
