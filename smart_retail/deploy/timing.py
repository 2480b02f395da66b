"""Timing in turns, and the name of the device that was timed."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def time_in_turns(calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> dict[str, list[float]]:
    """Time callables in turns, so that a drift of the machine hits all alike.

    Args:
        calls: by name.
        rounds: of each, after the warm-up.
        warm_up: rounds that do not count.

    Returns:
        Seconds of each round, by name.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + warm_up):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if number >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def device() -> dict[str, str | int | bool]:
    """Return processor, cores this process may use, and whether it multiplies bytes natively (VNNI)."""
    name, flags = platform.processor() or platform.machine(), ""
    if (info := Path("/proc/cpuinfo")).is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            if key.strip() in ("flags", "Features"):
                flags = value
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = set(flags.split())
    return {
        "processor": name,
        "cores": cores,
        "system": platform.system(),
        "int8_dot_product": bool(words & {"avx512_vnni", "avx_vnni", "asimddp"}),
    }
