"""One function over many images, in several processes if there are enough of them."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from smart_retail.errors import DataError

PARALLEL_FROM = 2000
"""Images below which starting processes takes longer than it saves."""
CHUNK = 256
Result = TypeVar("Result")


def progress(items: Iterable[Result], count: int, what: str, unit: str) -> Iterator[Result]:
    """Yield items beside a bar; in a log file, where a bar is a thousand lines, one line says what begins."""
    if not sys.stderr.isatty():
        print(f"{what}: {count:,} {unit}s", file=sys.stderr, flush=True)
    yield from tqdm(items, total=count, desc=what, unit=unit, mininterval=1.0, disable=None)


def in_processes(
    function: Callable[[Any], Result], tasks: Sequence[Any], workers: int, what: str, folder: Path
) -> Iterator[Result]:
    """Yield ``function(task)`` for each task, in their order, with a progress bar.

    Args:
        function: of a module, as processes get it by its name.
        tasks: one an image.
        workers: processes; with one, or with few images, the work is done here.
        what: shown beside the bar and in errors.
        folder: where the images lie, for errors.

    Raises:
        DataError: a process was killed.
    """
    if workers < 2 or len(tasks) < PARALLEL_FROM:
        yield from progress(map(function, tasks), len(tasks), what, "image")
        return
    # A fork starts at once, but is safe on Linux alone.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    # Not multiprocessing's Pool: that one waits forever for a worker that was killed.
    pool = ProcessPoolExecutor(workers, mp_context=context)
    try:
        results = pool.map(function, tasks, chunksize=CHUNK)
        yield from progress(results, len(tasks), what, "image")
    except BrokenProcessPool as error:
        raise DataError(
            f"{what}: one of {workers} processes was killed, most likely for want of memory, in the folder "
            f"{folder}; free memory, or use fewer cores (taskset -c 0 reads in one process)"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # else Ctrl-C waits until every file is read
