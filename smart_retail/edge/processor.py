"""The processor a network runs on, as far as it decides speed and rounding."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.cores import usable_cores

DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "asimddp"}
"""Flags of processors that sum products of bytes in 32 bits: VNNI on x86, dot products on ARM."""
PROBE = bytes.fromhex(
    "08083a550a180a01610a0162120179220d4d61744d756c496e746567657212002a0d0802080110034201624a027f7f"
    "5a130a0161120e0a0c080212080a0208010a02080262130a0179120e0a0c080612080a0208010a02080142040a00100d"
)
"""An ONNX file of one MatMulInteger: two unsigned bytes ``a`` times the signed weights 127 and 127."""


def device() -> dict[str, str | int | bool]:
    """Return processor, cores this process may use, and whether it has INT8 dot products."""
    name, flags = _cpu_info()
    return {
        "processor": name or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "system": platform.system(),
        "int8_dot_product": bool(flags & DOT_PRODUCTS),
    }


def in_words(device: Mapping[str, Any]) -> str:
    """Name a device that ``device`` told of, and say where INT8 gains little on it."""
    name = str(device.get("processor") or "a device not recorded")
    lacks = device.get("int8_dot_product") is False
    return f"{name} without dot products of bytes (VNNI and the like), where INT8 gains least" if lacks else name


@cache
def saturates() -> bool:
    """Whether ONNX Runtime's kernels overflow here with signed 8 bit weights, as on x86 without VNNI.

    Tried rather than looked up: the system's flags are missing outside Linux and those of another
    processor in an emulator.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(PROBE, providers=["CPUExecutionProvider"])
    product = session.run(None, {"a": np.full((1, 2), 255, np.uint8)})[0]
    return int(product[0, 0]) != 255 * 127 * 2


def _cpu_info() -> tuple[str, set[str]]:
    """Return name and flags of the first processor; empty where the system does not tell."""
    info = Path("/proc/cpuinfo")
    values: dict[str, str] = {}
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            values.setdefault(key.strip(), value.strip())
    return values.get("model name", ""), set((values.get("flags") or values.get("Features") or "").split())
