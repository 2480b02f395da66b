"""Runs of the command line as several processes, with torchrun's environment but without its start-up."""

import socket
from pathlib import Path

from tests.helpers.children import HANGS, Child, exit_code, start_child

DDP = {"accelerator": "cpu", "devices": 2, "strategy": "ddp"}
"""Trainer settings."""


def start_ranks(*words: str | Path, ranks: int = 2) -> list[Child]:
    """Start a command as processes that train together; rank r writes into ``rank<r>.log``."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "GROUP_RANK": "0"}
    shared |= {"WORLD_SIZE": str(ranks), "LOCAL_WORLD_SIZE": str(ranks), "TORCHELASTIC_RUN_ID": "test"}
    processes = []
    for rank in range(ranks):
        env = shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        processes.append(start_child(*words, log=f"rank{rank}.log", env=env))
    return processes


def finish(processes: list[Child], seconds: float = HANGS) -> list[int | None]:
    """Return the exit codes; None for a process that was still running after ``seconds``, and is no more."""
    return [exit_code(process, seconds) for process in processes]


def run_ranks(*words: str | Path) -> list[int | None]:
    """Run a command as two processes; return their exit codes."""
    return finish(start_ranks(*words))
