"""Any runtime and any provider that is there runs a bundle; what is not there is named."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smart_retail.cli import main
from smart_retail.edge.bundle import verify
from smart_retail.edge.onnx_runtime import OnnxRuntime
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.runtime import RUNTIMES, as_providers, choose_precision
from smart_retail.edge.session import Port, Provider
from smart_retail.errors import BundleError, ConfigError


class Reference:
    """ONNX's own evaluator in NumPy: a runtime of one's own is one class."""

    def __init__(self, path: Path, *, threads: int, providers: Sequence[Provider], half: bool) -> None:
        import onnx
        from onnx.reference import ReferenceEvaluator

        model = onnx.load(path)
        self.network = ReferenceEvaluator(model)
        self.inputs, self.outputs = (
            tuple(Port(value.name, "float32", _shape(value)) for value in values)
            for values in (model.graph.input, model.graph.output)
        )
        self.metadata = {entry.key: entry.value for entry in model.metadata_props}

    @staticmethod
    def precisions(providers: Sequence[Provider]) -> Sequence[str]:
        return ["fp32"]

    def run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        return [np.asarray(value) for value in self.network.run(None, {self.inputs[0].name: images})]


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(size.dim_value or None for size in value.type.tensor_type.shape.dim)


def test_a_runtime_of_ones_own_is_one_class(bundle: Path, faces: np.ndarray) -> None:
    own, usual = Predictor.from_bundle(bundle, runtime=Reference), Predictor.from_bundle(bundle, precision="fp32")
    assert own.path.name == "model.onnx"  # it has no INT8 kernels
    assert own(faces[0]).age == pytest.approx(usual(faces[0]).age, abs=1e-3)
    assert own.only(["age"]).outputs(faces[:1])["age"] == pytest.approx(own.outputs(faces[:1])["age"], abs=1e-6)


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider"])
def test_a_provider_has_the_runtimes_name_or_a_short_one(bundle: Path, faces: np.ndarray, name: str) -> None:
    assert Predictor.from_bundle(bundle, providers=name)(faces[0]) == Predictor.from_bundle(bundle)(faces[0])


def test_a_provider_may_have_options(bundle: Path) -> None:
    alone: tuple[str, dict[str, str]] = ("cpu", {"no_such_option": "1"})
    assert as_providers(alone) == [alone]
    assert as_providers(["cpu", "cuda"]) == ["cpu", "cuda"]
    assert as_providers(("cuda", "cpu")) == ["cuda", "cpu"]
    Predictor.from_bundle(bundle, providers=[("cpu", {})])


def test_providers_that_are_not_there_are_named_with_what_is_there(bundle: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        Predictor.from_bundle(bundle, providers=["coreml", "cpu", "nonsense"])
    told = str(refused.value)
    assert "coreml, nonsense: not in this onnxruntime" in told
    assert "cpu" in told.partition("which has")[2]
    assert "coreml: onnxruntime on macOS" in told
    assert "nonsense: no such provider" in told


def test_the_command_line_names_them_too(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--bundle", str(bundle), "--providers", "[rknpu, cpu]"]) == 2
    assert "error: --providers rknpu: not in this onnxruntime" in capsys.readouterr().err
    assert main(["predict", "x.jpg", "--bundle", str(bundle), "--runtime", "tvm"]) == 2
    assert "onnxruntime" in capsys.readouterr().err


def test_an_unknown_runtime_is_refused(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="--runtime tvm: it is onnxruntime or openvino"):
        Predictor.from_bundle(bundle, runtime="tvm")


def test_sixteen_bits_are_for_providers_that_are_fast_with_them(bundle: Path) -> None:
    with pytest.raises(ConfigError, match=r"no faster in 16 bits; choose from fp32, int8"):
        Predictor.from_bundle(bundle, precision="fp16")


class Fast(Reference):
    """A runtime that computes in 16 bits."""

    @staticmethod
    def precisions(providers: Sequence[Provider]) -> Sequence[str]:
        return ["fp16", "fp32"]


@pytest.mark.parametrize(
    ("there", "runtime", "asked", "taken"),
    [
        (["fp32", "int8"], OnnxRuntime, None, "int8"),
        (["fp32"], OnnxRuntime, None, "fp32"),
        (["fp32", "int8"], OnnxRuntime, "fp32", "fp32"),
        (["fp32", "int8"], Fast, None, "fp16"),
        (["fp32", "int8"], Fast, "int8", "int8"),
        (["int8"], Fast, None, "int8"),
    ],
)
def test_a_provider_gets_what_it_is_fast_with(there: list[str], runtime: type, asked: str | None, taken: str) -> None:
    assert choose_precision(there, runtime, None, asked) == taken


@pytest.mark.skipif(importlib.util.find_spec("openvino") is not None, reason="OpenVINO is installed")
def test_without_openvino_its_installation_is_named(bundle: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'smart_retail\[openvino\]'"):
        Predictor.from_bundle(bundle, runtime="openvino")


def test_openvino_gives_the_stored_answers(bundle: Path) -> None:
    pytest.importorskip("openvino")
    assert verify(bundle, runtime="openvino")["fp32"] < 1e-4
    with pytest.raises(ConfigError, match="--providers ABACUS: OpenVINO takes one of its devices, and finds CPU"):
        verify(bundle, runtime="openvino", providers="ABACUS")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_that_is_no_network_is_named(tmp_path: Path, bundle: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    from smart_retail.edge.runtime import open_session

    (tmp_path / "model.onnx").write_bytes(b"none")
    with pytest.raises(BundleError, match=r"model\.onnx: \w+ cannot read it"):
        open_session(tmp_path / "model.onnx", runtime=runtime)
