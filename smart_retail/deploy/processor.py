"""The processor a network runs on, as far as it decides speed and rounding."""

from __future__ import annotations

import os
import platform
from pathlib import Path

DOT_PRODUCTS = {"avx512_vnni", "avx_vnni", "asimddp"}
"""Flags of processors that sum products of bytes in 32 bits: VNNI on x86, dot products on ARM."""


def device() -> dict[str, str | int | bool]:
    """Return processor, cores this process may use, and whether it has INT8 dot products."""
    name, flags = _cpu_info()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "processor": name or platform.processor() or platform.machine(),
        "cores": cores,
        "system": platform.system(),
        "int8_dot_product": bool(flags & DOT_PRODUCTS),
    }


def saturates() -> bool:
    """Whether kernels may overflow with signed 8 bit weights: x86 that is not known to have VNNI."""
    x86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686", "x86")
    return x86 and not _cpu_info()[1] & DOT_PRODUCTS


def _cpu_info() -> tuple[str, set[str]]:
    """Return name and flags of the first processor; empty where the system does not tell."""
    info = Path("/proc/cpuinfo")
    values: dict[str, str] = {}
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            values.setdefault(key.strip(), value.strip())
    return values.get("model name", ""), set((values.get("flags") or values.get("Features") or "").split())
