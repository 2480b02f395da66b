"""One training in a process of its own, and what it leaves behind."""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from smart_retail.config_files import read_yaml
from smart_retail.errors import ConfigError
from smart_retail.runs import versions_of

GRACE = 180.0
"""Seconds that a training has to finish its step and save."""
POLL = 0.5
"""Seconds between two looks at a running training."""
PR_SET_PDEATHSIG = 1


def run_child(
    command: Sequence[str],
    log: Path,
    watch: Callable[[], bool] = lambda: True,
    started: Callable[[int], None] = lambda pid: None,
) -> int:
    """Run a command of ours, its output appended to a file.

    Args:
        command: words after ``smart-retail``.
        log: file for what it says.
        watch: called every half second; False ends the child.
        started: called once with the child's process number.

    Returns:
        Its exit code; minus the signal's number if one killed it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "smart_retail", *command],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C comes from us, once
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    try:
        started(child.pid)
        while True:
            try:
                return child.wait(POLL)
            except subprocess.TimeoutExpired:
                if not watch():
                    return _end(child)
    except BaseException:
        _end(child)
        raise


def _end(child: subprocess.Popen[bytes]) -> int:
    """Ask a training to save and stop; a second Ctrl-C, or no answer, kills it."""
    child.terminate()
    try:
        return child.wait(GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt, SystemExit):
        child.kill()
        return child.wait()


def _die_with_parent() -> None:
    """Let the kernel send SIGTERM when the sweep is killed: the training saves and makes room."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def identity(pid: int) -> str:
    """Return who a process is: machine, number and when it began (numbers come again)."""
    return f"{socket.gethostname()}:{pid}:{_began(pid)}"


def _began(pid: int) -> str:
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else rest[18]  # a zombie is no more, though it still has its number


def is_alive(who: str) -> bool | None:
    """Return whether a process of this machine still runs; None if it is one of another machine."""
    host, pid, _ = who.split(":")
    if host != socket.gethostname():
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return identity(int(pid)) == who


def wait_until_gone(who: str, patience: float = GRACE) -> None:
    """Let a training whose sweep was killed save and stop; without an answer it is killed."""
    end = time.monotonic() + patience
    while is_alive(who):
        if time.monotonic() > end:
            os.kill(int(who.split(":")[1]), signal.SIGKILL)
        time.sleep(POLL)


def newest_version(folder: Path) -> Path | None:
    """Return the newest ``version_N`` of a run, if any."""
    return next(reversed(versions_of(folder)), None)


def read_metrics(version: Path | None) -> pd.DataFrame:
    """Return the validations of a run, also of those before it was resumed, by epoch."""
    frames = []
    for path in [] if version is None else [*sorted(version.glob("metrics-*.csv")), version / "metrics.csv"]:
        try:
            frames.append(pd.read_csv(path))
        except (OSError, ValueError):  # pandas' own errors are of this kind
            continue  # not yet, just being written, or damaged
    if not frames or not any("epoch" in frame for frame in frames):
        return pd.DataFrame()
    table: pd.DataFrame = pd.concat(frames, ignore_index=True).apply(pd.to_numeric, errors="coerce")
    return table.replace([math.inf, -math.inf], math.nan).dropna(subset=["epoch"])


def best_metrics(table: pd.DataFrame, metric: str, direction: str, first_epoch: int = 0) -> dict[str, float]:
    """Return the ``val/`` values of the best epoch without the prefix; empty if there is none.

    Args:
        table: from ``read_metrics``.
        metric: column that is compared.
        direction: ``maximize`` or ``minimize``.
        first_epoch: earlier ones do not count.
    """
    if metric not in table or table[metric].dropna().empty:
        return {}
    table = table[table["epoch"] >= first_epoch]
    if table[metric].dropna().empty:
        return {}
    measured = table.dropna(subset=[metric]).sort_values(metric, ascending=direction == "minimize", kind="stable")
    row = measured.iloc[0].filter(regex="^val/").dropna()
    values = {str(name).removeprefix("val/"): float(value) for name, value in row.items()}
    return values | {"objective": float(measured[metric].iloc[0])}


def read_config(version: Path) -> dict[str, Any]:
    """Return the config that a run was started with; empty if it was not yet.

    Raises:
        ConfigError: it is damaged.
    """
    path = version / "config.yaml"
    config = read_yaml(path) if path.is_file() else {}
    if not isinstance(config, dict) or not isinstance(config.get("data", {}), dict):
        raise ConfigError(f"{path} is damaged: no config of a run")
    return config


def final_size_epoch(config: Mapping[str, Any]) -> int:
    """Return the first epoch at the final image size: ``best.ckpt`` is none of an earlier one."""
    sizes = config.get("data", {}).get("progressive") or {}
    try:
        return max((int(epoch) for epoch in sizes), default=0)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"data.progressive {sizes!r:.80} does not map epochs to sizes") from error


def chosen_settings(config: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return what a run was really set to, from its config."""
    values = {}
    for key in keys:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        values[key] = value
    return values


def measure(model: Path, log: Path) -> dict[str, float]:
    """Return ``parameters`` and ``latency_ms`` of a ``model.pth``; empty if it cannot be run."""
    command = [sys.executable, "-m", "smart_retail.sweep.latency", str(model)]
    with log.open("ab") as file:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=file, check=False)
    found: dict[str, float] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def killed_by(code: int) -> str:
    """Return the signal that ended a process, as it or its shell tells; empty if it was none."""
    number = -code if code < 0 else code - 128 if code in (130, 143) else 0
    return signal.Signals(number).name if number else ""


def reason(code: int, log: Path, start: int = 0) -> str:
    """Return in one line why a training failed; ``start`` is where its part of the log begins."""
    if name := killed_by(code):
        return f"killed by {name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
    text = log.read_bytes()[start:].decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")
    return said[:300] or f"exit code {code}"
