"""Timing in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


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
