"""OpenVINO, on any of its devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.edge.session import Port, Provider
from smart_retail.errors import ConfigError


class OpenVino:
    """One ONNX file in OpenVINO. Its providers are its devices: ``CPU``, ``GPU``, ``NPU``, ``AUTO``."""

    def __init__(self, path: Path, *, threads: int = 1, providers: Sequence[Provider] = (), half: bool = False) -> None:
        """Open the file; see ``session.Runtime``.

        Raises:
            ConfigError: OpenVINO or the device is not there.
        """
        core = _core()
        device, options = _wanted(core, providers)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            # It would take bfloat16 by itself where the processor has it.
            "INFERENCE_PRECISION_HINT": "f16" if half else "f32",
        }
        if device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = threads
        model = core.read_model(path)
        self.network = core.compile_model(model, device, {**settings, **options})
        self.inputs, self.outputs = map(_ports, (self.network.inputs, self.network.outputs))
        stored = dict(model.get_rt_info()).get("framework", {})
        self.metadata: Mapping[str, str] = {name: str(value.astype(str)) for name, value in stored.items()}

    @staticmethod
    def precisions(providers: Sequence[Provider]) -> Sequence[str]:
        """Return what the device is fast with by its own account; see ``session.Runtime``."""
        core = _core()
        device, _ = _wanted(core, providers)
        able = {"INT8", "FP32"} if device == "AUTO" else set(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))
        return [name for name in ("int8", "fp16", "fp32") if name.upper() in able]

    def run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """Return the outputs for a batch; see ``session.Session``."""
        return [np.asarray(values) for values in self.network(images).values()]


def _core() -> Any:
    try:
        return import_module("openvino").Core()
    except ImportError as error:
        raise ConfigError("OpenVINO is missing: pip install 'smart_retail[openvino]'") from error


def _wanted(core: Any, providers: Sequence[Provider]) -> tuple[str, Mapping[str, Any]]:
    """Return the device and its options.

    Raises:
        ConfigError: several are given, or it is not there.
    """
    pairs = [(one, {}) if isinstance(one, str) else one for one in providers or ("CPU",)]
    device, options = pairs[0]
    there = [*core.available_devices, "AUTO"]
    if len(pairs) > 1 or device.upper().partition(".")[0] not in {name.partition(".")[0] for name in there}:
        names = ", ".join(name for name, _ in pairs)
        raise ConfigError(f"--providers {names}: OpenVINO takes one of its devices, and finds {', '.join(there)} here")
    return device.upper(), options


def _ports(nodes: Sequence[Any]) -> tuple[Port, ...]:
    return tuple(
        Port(
            node.any_name,
            np.dtype(node.element_type.to_dtype()).name,
            tuple(None if size.is_dynamic else size.get_length() for size in node.partial_shape),
        )
        for node in nodes
    )
