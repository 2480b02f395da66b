"""Timing in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tqdm import trange


class Seconds(NamedTuple):
    """What one call took.

    Attributes:
        wall: by the clock on the wall.
        processor: of all threads together; other work on the machine does not lengthen it much.
    """

    wall: float
    processor: float


def time_in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3, what: str = ""
) -> dict[str, list[Seconds]]:
    """Time callables in turns, so that a drift of the machine hits all alike.

    Args:
        calls: by name.
        rounds: of each, after the warm-up.
        warm_up: rounds that do not count.
        what: title of a progress bar; without one there is none.

    Returns:
        What each round took, by name.
    """
    seconds: dict[str, list[Seconds]] = {name: [] for name in calls}
    for number in trange(rounds + warm_up, desc=what, leave=False, disable=not what):
        for name, call in calls.items():
            start, worked = time.perf_counter(), time.process_time()
            call()
            spent = Seconds(time.perf_counter() - start, time.process_time() - worked)
            if number >= warm_up:
                seconds[name].append(spent)
    return seconds
