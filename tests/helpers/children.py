"""Commands in processes of their own.

They are forked from a server that has imported the package and done nothing else: a fork of the tests'
process, with its threads of autograd and OpenMP, may wait for ever on a lock that no thread will release.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

from tests.helpers.runs import run

Child = multiprocessing.process.BaseProcess

HANGS = 600
"""Seconds after which what still runs is taken to hang, on a busy machine too."""
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["smart_retail.export.export", "smart_retail.training.cli", "tests.helpers.runs"])


def start_child(
    *words: str | Path, log: str = "child.log", env: Mapping[str, str] | None = None, group: bool = False
) -> Child:
    """Start a command whose exit code becomes the process's; it writes into ``log``, and may lead a process group."""
    process = CONTEXT.Process(target=_child, args=(words, log, dict(os.environ) | dict(env or {}), group))
    process.start()
    return process


def exit_code(process: Child, seconds: float = HANGS) -> int | None:
    """Return how a process ended; None for one that was still running after some seconds, and is no more."""
    process.join(seconds)
    code = process.exitcode
    if code is None:
        process.kill()
        process.join()
    return code


def kill_when(process: Child, condition: Callable[[], bool], seconds: float = HANGS) -> None:
    """Kill a process with signal 9 as soon as a condition holds; it must hold before the process ends."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), f"ended with {process.exitcode} before it could be killed"
        assert time.monotonic() < end, "the moment to kill never came"
        time.sleep(1e-4)  # leave the processor to the child
    process.kill()
    process.join()


def _child(words: tuple[str | Path, ...], log: str, env: Mapping[str, str], group: bool = False) -> None:
    if group:
        os.setsid()
    os.environ.clear()
    os.environ.update(env)
    rank_zero_only.rank = int(env.get("RANK", 0))  # read at the import, which was the server's
    torch.set_num_threads(1)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    code = run(*words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
