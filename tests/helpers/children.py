"""Commands in processes of their own, forked: the imports are there already."""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.helpers.runs import run

Child = multiprocessing.process.BaseProcess


def start_child(*words: str | Path, log: str = "child.log", env: Mapping[str, str] | None = None) -> Child:
    """Start a command whose exit code becomes the process's; it writes into ``log``."""
    process = multiprocessing.get_context("fork").Process(target=_child, args=(words, log, env or {}))
    process.start()
    return process


def kill_when(process: Child, condition: Callable[[], bool], seconds: float = 120) -> None:
    """Kill a process with signal 9 as soon as a condition holds; it must hold before the process ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), f"ended with {process.exitcode} before it could be killed"
        assert time.monotonic() < end, "the moment to kill never came"
        time.sleep(1e-4)  # leave the processor to the child
    process.kill()
    process.join()


def _child(words: tuple[str | Path, ...], log: str, env: Mapping[str, str]) -> None:
    os.environ.update(env)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    code = run(*words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
