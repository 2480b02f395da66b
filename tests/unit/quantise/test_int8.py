"""Equalisation and bias correction change the numbers inside, not what the network says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from smart_retail.contract import Contract
from smart_retail.edge.runtime import feed, open_session
from smart_retail.export.export import drawn_faces
from smart_retail.quantise.activation_limits import faces_within, split_limits, without_limits
from smart_retail.quantise.bias_correction import correct_heads
from smart_retail.quantise.equalisation import _channel_maxima, equalise, find_pairs
from smart_retail.quantise.int8 import Int8Settings, quantise
from smart_retail.quantise.kernels import OPERATORS, with_rounding
from smart_retail.quantise.ranges import _cut, activations, find_ranges
from smart_retail.quantise.recorder import Recorder, deviation

CONTRACT = Contract(image_size=32)


@pytest.fixture
def model(exported: Path, faces: np.ndarray) -> onnx.ModelProto:
    loaded = onnx.load(exported)
    assert split_limits(loaded) > 30
    assert len(faces_within(loaded, faces, CONTRACT)) == len(faces)
    return without_limits(loaded)


def ranges_of(model: onnx.ModelProto, crops: np.ndarray) -> dict[str, tuple[float, float]]:
    recorder = Recorder(model, activations(model, OPERATORS), CONTRACT)
    return find_ranges(recorder, crops, methods=["minmax"], percentile=100)["minmax"]


@pytest.fixture
def limited(exported: Path) -> onnx.ModelProto:
    """A network in which every face reaches the limit of the first layer."""
    loaded = onnx.load(exported)
    weights = {t.name: t for t in loaded.graph.initializer}
    first = next(node for node in loaded.graph.node if node.op_type == "Conv")
    bias = onnx.numpy_helper.to_array(weights[first.input[2]])
    bias = bias + np.linspace(0, 60, len(bias), dtype=np.float32)
    weights[first.input[2]].CopyFrom(onnx.numpy_helper.from_array(bias, first.input[2]))
    return loaded


def test_limits_that_faces_reach_are_equalised_with_the_channels(
    limited: onnx.ModelProto, faces: np.ndarray, tmp_path: Path
) -> None:
    onnx.save(limited, tmp_path / "before.onnx")
    split_limits(limited)
    assert len(faces_within(limited, faces, CONTRACT)) == len(faces), "all faces calibrate"
    onnx.save(without_limits(limited), tmp_path / "free.onnx")
    assert equalise(limited, faces, CONTRACT) == len(find_pairs(limited)) > 30
    onnx.save(limited, tmp_path / "equalised.onnx")
    before, free, equalised = (
        feed(open_session(tmp_path / f"{n}.onnx"), faces, CONTRACT)["emotion"] for n in ("before", "free", "equalised")
    )
    np.testing.assert_allclose(equalised, before, atol=1e-4)
    assert np.abs(free - before).max() > 0.01, "the limit matters here"


def test_a_network_that_lives_at_its_limits_is_equalised_for_int8(
    limited: onnx.ModelProto, faces: np.ndarray, tmp_path: Path
) -> None:
    onnx.save(limited, tmp_path / "float.onnx")
    info = quantise(tmp_path / "float.onnx", tmp_path / "int8.onnx", faces, CONTRACT, Int8Settings())
    assert list(info["kernels"]) == ["QLinearConv"]
    plain = with_rounding(limited, ranges_of(limited, faces), 8)
    scales = [
        onnx.numpy_helper.to_array(t)
        for network in (onnx.load(tmp_path / "int8.onnx"), plain)
        for t in network.graph.initializer
        if t.name.endswith("stem.reparam_conv.weight_scale")
    ]
    assert np.ptp(np.log(scales[0])) > np.ptp(np.log(scales[1])), "channels are divided by what they reach"


def test_a_face_beyond_the_limit_does_not_calibrate(exported: Path, faces: np.ndarray) -> None:
    loaded = onnx.load(exported)
    white = np.full_like(faces[:1], 255)
    crops = np.concatenate([np.repeat(faces, 5, 0), white])
    weights = {t.name: t for t in loaded.graph.initializer}
    first = next(node for node in loaded.graph.node if node.op_type == "Conv")
    # A channel that only white reaches, far beyond the limit.
    kernel = onnx.numpy_helper.to_array(weights[first.input[1]]).copy()
    bias = onnx.numpy_helper.to_array(weights[first.input[2]]).copy()
    kernel[0], bias[0] = 1000.0, -1000.0 * 27 * 2.0
    for name, values in ((first.input[1], kernel), (first.input[2], bias)):
        weights[name].CopyFrom(onnx.numpy_helper.from_array(values, name))
    split_limits(loaded)
    assert len(faces_within(loaded, crops, CONTRACT)) == len(crops) - 1


def test_equalising_changes_no_answer(model: onnx.ModelProto, faces: np.ndarray, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "before.onnx")
    assert equalise(model, faces, CONTRACT) == len(find_pairs(model)) > 30
    onnx.save(model, tmp_path / "after.onnx")
    before, after = (feed(open_session(tmp_path / f"{n}.onnx"), faces, CONTRACT) for n in ("before", "after"))
    np.testing.assert_allclose(after["emotion"], before["emotion"], atol=1e-4)


def test_equalised_depthwise_inputs_have_equal_channels(model: onnx.ModelProto, faces: np.ndarray) -> None:
    equalise(model, faces, CONTRACT)
    depthwise = next(p.between for p in find_pairs(model) if p.second.attribute and _group(p.second) > 1)
    highest = _channel_maxima(model, [depthwise], faces, CONTRACT)[depthwise]
    alive = highest[highest > 0]
    assert alive.max() / np.median(alive) < 1.5


def _group(node: onnx.NodeProto) -> int:
    return next(a.i for a in node.attribute if a.name == "group")


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("method", ["minmax", "percentile", "mse"])
def test_every_convolution_becomes_integer(
    exported: Path, tmp_path: Path, faces: np.ndarray, bits: int, method: str
) -> None:
    settings = Int8Settings(weight_bits=bits, ranges=method, correct_bias=True)  # type: ignore[arg-type]
    info = quantise(exported, tmp_path / "q.onnx", faces, CONTRACT, settings)
    assert list(info["kernels"]) == ["QLinearConv"]
    largest = max(
        int(np.abs(onnx.numpy_helper.to_array(t).astype(int)).max())
        for t in onnx.load(tmp_path / "q.onnx").graph.initializer
        if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4
    )
    assert largest <= (64 if bits == 7 else 128)


@pytest.mark.parametrize("bits", [7, 8])
def test_weights_of_7_bits_have_the_fast_kernels_where_others_overflow(
    exported: Path, tmp_path: Path, faces: np.ndarray, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    quantise(exported, tmp_path / "q.onnx", faces, CONTRACT, Int8Settings(weight_bits=bits, ranges="minmax"))
    monkeypatch.setattr("smart_retail.edge.onnx_runtime.saturates", lambda: True)
    options = open_session(tmp_path / "q.onnx").session.get_session_options()  # type: ignore[attr-defined]
    if bits == 8:
        assert options.get_session_config_entry("session.x64quantprecision") == "1"
    else:
        with pytest.raises(RuntimeError, match="does not have"):
            options.get_session_config_entry("session.x64quantprecision")


def test_minmax_ranges_hold_every_value(model: onnx.ModelProto) -> None:
    crops = drawn_faces(32, 8)
    recorder = Recorder(model, activations(model, ("Conv",)), CONTRACT)
    ranges = find_ranges(recorder, crops, methods=["minmax"], percentile=100)["minmax"]
    for name, values in recorder.run(crops).items():
        assert ranges[name][0] <= values.min() and values.max() <= ranges[name][1]


def test_several_methods_share_the_passes(model: onnx.ModelProto) -> None:
    methods, crops = ("mse", "minmax", "percentile"), drawn_faces(32, 8)
    recorder = Recorder(model, activations(model, ("Conv",)), CONTRACT)
    together = find_ranges(recorder, crops, methods=methods, percentile=99.9)
    assert list(together) == list(methods)
    for method in methods:
        assert find_ranges(recorder, crops, methods=[method], percentile=99.9) == {method: together[method]}


def test_a_network_does_not_deviate_from_itself(model: onnx.ModelProto, faces: np.ndarray) -> None:
    assert deviation(model, model, faces, CONTRACT) == 0


def test_coarser_ranges_deviate_more(model: onnx.ModelProto, faces: np.ndarray) -> None:
    found, ranges = [], ranges_of(model, faces)
    for factor in (1, 8, 64):
        wide = {name: (factor * low, factor * high) for name, (low, high) in ranges.items()}
        found.append(deviation(model, with_rounding(model, wide, 8), faces, CONTRACT))
    assert found == sorted(found) and found[0] < 0.5 * found[-1]


@pytest.mark.parametrize("percentile", [90.0, 100.0])
def test_auto_keeps_what_deviates_less(exported: Path, tmp_path: Path, faces: np.ndarray, percentile: float) -> None:
    written, info = {}, {}
    for ranges in ("auto", "percentile", "mse"):
        settings = Int8Settings(ranges=ranges, percentile=percentile)  # type: ignore[arg-type]
        info[ranges] = quantise(exported, tmp_path / "q.onnx", faces, CONTRACT, settings)["ranges"]
        written[ranges] = (tmp_path / "q.onnx").read_bytes()
    deviations = info["auto"]["deviation"]
    assert deviations == info["percentile"]["deviation"] | info["mse"]["deviation"]
    assert info["auto"]["chosen"] == min(deviations, key=lambda method: deviations[method])
    assert written["auto"] == written[info["auto"]["chosen"]]


def test_outliers_are_cut() -> None:
    counts = np.zeros(2048)
    counts[:100], counts[-1] = 1000, 1
    assert _cut(counts, 0.0, 1.0, "percentile", 99.9)[1] < 0.06
    assert _cut(counts, 0.0, 1.0, "mse", 0)[1] < 1.0
    assert _cut(np.zeros(2048), 0.0, 1.0, "mse", 0) == (0.0, 1.0)


def test_corrected_heads_see_the_mean_they_were_trained_with(exported: Path, tmp_path: Path) -> None:
    crops = drawn_faces(32, 16)
    expected = feed(open_session(_logits(exported, tmp_path)), crops, CONTRACT)["gender"].mean(axis=0)
    model = onnx.load(_logits(exported, tmp_path))
    quantised = with_rounding(model, ranges_of(model, crops), 7)
    errors = []
    for correct in (False, True):
        if correct:
            correct_heads(model, quantised, crops, CONTRACT)
        onnx.save(quantised, tmp_path / "q.onnx")
        found = feed(open_session(tmp_path / "q.onnx"), crops, CONTRACT)["gender"].mean(axis=0)
        errors.append(float(np.abs(found - expected).max()))
    assert errors[1] < 0.1 * errors[0]


def _logits(exported: Path, folder: Path) -> Path:
    """Return a copy of the network that answers with the gender logits before their softmax."""
    model = onnx.load(exported)
    softmax = next(n for n in model.graph.node if n.output[0] == "gender")
    softmax.op_type = "Identity"
    del softmax.attribute[:]
    onnx.save(model, folder / "logits.onnx")
    return folder / "logits.onnx"
