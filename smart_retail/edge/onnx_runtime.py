"""ONNX Runtime, with any of its execution providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from smart_retail.contract import WEIGHT_BITS
from smart_retail.edge.processor import saturates
from smart_retail.edge.session import Port, Provider
from smart_retail.errors import ConfigError

KINDS = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}
"""Names of NumPy for those of ONNX Runtime."""


class Traits(NamedTuple):
    """What is known of a provider.

    Attributes:
        precisions: that it is fast with, the best first.
        half: options that let it compute in 16 bits.
        options: that it needs always.
        source: where it comes from.
    """

    precisions: tuple[str, ...] = ("fp32", "int8")
    half: Mapping[str, str] = {}
    options: Mapping[str, str] = {}
    source: str = "a build of onnxruntime that has it"


TRAITS = {
    "cpu": Traits(("int8", "fp32")),
    # It runs QDQ in floating point, each pair as two more operations.
    "cuda": Traits(("fp32",), source="pip install onnxruntime-gpu in place of onnxruntime"),
    # INT8 only with symmetric activations, which our files have not.
    "tensorrt": Traits(
        ("fp16", "fp32"), {"trt_fp16_enable": "1"}, source="pip install onnxruntime-gpu in place of onnxruntime"
    ),
    "openvino": Traits(
        ("int8", "fp32", "fp16"),
        {"precision": "FP16"},
        source="pip install onnxruntime-openvino in place of onnxruntime, or the runtime openvino",
    ),
    "coreml": Traits(
        ("fp16", "fp32"),
        {"AllowLowPrecisionAccumulationOnGPU": "1"},
        {"ModelFormat": "MLProgram"},
        source="onnxruntime on macOS",
    ),
    "xnnpack": Traits(("int8", "fp32")),
}
"""By short name. Providers that are not here take FP32 unless told otherwise."""


class OnnxRuntime:
    """One ONNX file in ONNX Runtime."""

    def __init__(self, path: Path, *, threads: int = 1, providers: Sequence[Provider] = (), half: bool = False) -> None:
        """Open the file; see ``session.Runtime``.

        Raises:
            ConfigError: onnxruntime or a provider is not there, or a provider does not start.
        """
        ort = _onnxruntime()
        wanted = _wanted(ort, providers, half, threads)
        # x86 kernels without VNNI add pairs of signed products in 16 bits, and 8 bit weights overflow there. Unsigned
        # ones do not. With VNNI the answers are the same without that, and it would halve the speed.
        careful = saturates()
        session = _open(ort, path, wanted, threads, careful=careful)
        if careful and session.get_modelmeta().custom_metadata_map.get(WEIGHT_BITS) == "7":  # these never overflow
            session = _open(ort, path, wanted, threads, careful=False)
        if idle := [_short(name) for name, _ in wanted if name not in session.get_providers()]:
            raise ConfigError(
                f"--providers {', '.join(idle)}: onnxruntime could not start it here; its driver or libraries are "
                "missing, or of another version"
            )
        self.session = session
        self.inputs, self.outputs = map(_ports, (session.get_inputs(), session.get_outputs()))
        self.metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map

    @staticmethod
    def precisions(providers: Sequence[Provider]) -> Sequence[str]:
        """Return what the first provider is fast with; see ``session.Runtime``."""
        [(name, _), *_] = _wanted(_onnxruntime(), providers)
        return TRAITS.get(_short(name), Traits()).precisions

    def run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """Return the outputs for a batch; see ``session.Session``."""
        return self.run_only(images, None)

    def run_only(self, images: np.ndarray, names: Sequence[str] | None) -> Sequence[np.ndarray]:
        """Return the outputs of these names, of all without any."""
        found: Sequence[np.ndarray] = self.session.run(names, {self.inputs[0].name: images})
        return found


def _open(ort: Any, path: Path, wanted: Sequence[Any], threads: int, *, careful: bool) -> Any:
    options = ort.SessionOptions()
    own_threads = any(_short(name) == "xnnpack" for name, _ in wanted)
    options.intra_op_num_threads = 1 if own_threads else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if careful:
        options.add_session_config_entry("session.x64quantprecision", "1")
    # Threads that spin between two images eat the cores that decode and detect.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads != 1 or own_threads else "1")
    # Without its fallback, which prints, and which goes on without the provider that was asked for.
    return ort.InferenceSession(str(path), options, providers=wanted, enable_fallback=False)


def _onnxruntime() -> ModuleType:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise ConfigError("onnxruntime is missing: pip install 'smart_retail[edge]'") from error


def _wanted(
    ort: ModuleType, providers: Sequence[Provider], half: bool = False, threads: int = 1
) -> list[tuple[str, dict[str, Any]]]:
    """Return providers by their full names, with all their options.

    Raises:
        ConfigError: some are not in this onnxruntime.
    """
    there = {_short(name): name for name in ort.get_available_providers()}
    pairs = [(one, {}) if isinstance(one, str) else one for one in providers or ("cpu",)]
    if missing := [_short(name) for name, _ in pairs if _short(name) not in there]:
        known = {_short(name) for name in ort.get_all_providers()}
        hints = [
            f"{name}: {TRAITS.get(name, Traits()).source}" if name in known else f"{name}: no such provider"
            for name in missing
        ]
        raise ConfigError(
            f"--providers {', '.join(missing)}: not in this onnxruntime {ort.__version__}, which has "
            f"{', '.join(sorted(there))} ({'; '.join(hints)})"
        )
    found = []
    for name, options in pairs:
        traits = TRAITS.get(_short(name), Traits())
        own = {"intra_op_num_threads": str(threads)} if _short(name) == "xnnpack" and threads else {}
        found.append((there[_short(name)], {**traits.options, **(traits.half if half else {}), **own, **options}))
    return found


def _short(name: str) -> str:
    return name.lower().removesuffix("executionprovider")


def _ports(nodes: Sequence[Any]) -> tuple[Port, ...]:
    return tuple(
        Port(n.name, KINDS.get(n.type, n.type), tuple(d if isinstance(d, int) else None for d in n.shape))
        for n in nodes
    )
