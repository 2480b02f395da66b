"""Optuna's objective: a configuration, trained once with every seed, each time in a process of its own."""

from __future__ import annotations

import ctypes
import math
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

import optuna
import pandas as pd
from optuna.exceptions import TrialPruned, UpdateFinishedTrialError

from smart_retail.config_files import read_yaml
from smart_retail.errors import SmartRetailError, one_line
from smart_retail.files import locked
from smart_retail.runs import versions_of
from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.study import line_up_again, say

LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: a fork of several threads may not


class TakenOver(BaseException):
    """Another worker has the trial now; no Exception, for which Optuna would write to a trial that is none of ours."""


def objective(trial: optuna.Trial, plan: SweepSettings) -> float:
    """Train a configuration; return the mean over the seeds of what is compared.

    Raises:
        SmartRetailError: a training failed; the trial's ``reason`` says why.
        TrialPruned: the first seed's training was hopeless.
        KeyboardInterrupt: this worker is to stop; the trial waits for the next one.
        TakenOver: this worker was silent for too long.
    """
    if "name" not in trial.user_attrs:
        raise SmartRetailError("another worker was faster with the last trial, and Optuna made one up")
    try:
        trial.set_user_attr("begun", trial.number)
        if trial.user_attrs["settings"] is None:
            trial.set_user_attr("settings", {key: plan.suggest(trial, key) for key in plan.search})
        return statistics.mean(_train_seed(trial, plan, seed) for seed in plan.seeds)
    except UpdateFinishedTrialError as error:
        raise TakenOver from error
    except KeyboardInterrupt:
        line_up_again(trial.study, trial.study.get_trials()[trial.number])
        raise
    except Exception as error:
        trial.set_user_attr("reason", one_line(error, 300))
        raise


def _train_seed(trial: optuna.Trial, plan: SweepSettings, seed: int) -> float:
    begin, name, key = time.monotonic(), trial.user_attrs["name"], f"seed_{seed}"
    folder, run = plan.folder / name / key, {"seconds": 0.0} | trial.user_attrs.get(key, {})
    watch = partial(report, trial, plan.metric, folder, set()) if seed == plan.seeds[0] else lambda: None
    try:
        arguments = plan.fit_arguments(trial.user_attrs["settings"], seed, f"{plan.name}/{name}/{key}")
        run["values"] = results(train(folder, arguments, watch), plan)
    except TrialPruned:
        with suppress(SmartRetailError):  # before its final size it has no values
            run["values"] = results(newest_version(folder), plan)
        raise
    finally:
        run["seconds"] += time.monotonic() - begin
        trial.set_user_attr(key, run)
    return float(run["values"]["objective"])


def report(trial: optuna.Trial, metric: str, run: Path, reported: set[int]) -> None:
    """Report the validations of a run that are not in ``reported`` yet; TrialPruned if the pruner sees no hope."""
    scores: Any = read_metrics(newest_version(run), metric).drop_duplicates("epoch").set_index("epoch")[metric]
    for epoch, score in scores.drop(list(reported), errors="ignore").items():
        reported.add(epoch)
        trial.report(float(score), epoch)
        if trial.should_prune():
            raise TrialPruned(f"worse than the median of the others at epoch {epoch + 1}")


def train(folder: Path, arguments: Sequence[str], watch: Callable[[], None] = lambda: None) -> Path:
    """Train in a run's folder, or go on from its last checkpoint, unless it is done; return ``version_N``."""
    with locked(folder / "fit.log") as log:  # waits until a training that outlived its worker has saved
        version = newest_version(folder)
        if not (version / "model.pth").is_file():
            resumes = (version / "checkpoints" / "last.ckpt").is_file()
            say(f"{folder.parent.name}/{folder.name}: {'goes on' if resumes else 'begins'}, log in {log.name}")
            run_command([*arguments, *["--ckpt_path=last"] * resumes], log, watch)
    return newest_version(folder)


def run_command(arguments: Sequence[str], log: IO[bytes], watch: Callable[[], None] = lambda: None) -> None:
    """Run a command of ours; if it crashes, or the kernel kills it for want of memory, the worker lives on.

    Args:
        arguments: after ``smart-retail``; a SmartRetailError says why they fail.
        log: file for its output; the command inherits its lock.
        watch: called now and then; if it raises, the command is asked to save and end.
    """
    start = log.seek(0, 2)
    # In a session of its own: Ctrl-C comes from us, once. If the worker is killed, the kernel lets it save and end.
    end_with_worker = (lambda: LIBC.prctl(1, signal.SIGTERM)) if LIBC else None  # 1: PR_SET_PDEATHSIG
    command = [sys.executable, "-m", "smart_retail", *arguments]
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_worker, **streams)
    try:
        while child.poll() is None:
            time.sleep(0.5)
            watch()
    finally:
        if child.returncode is None:  # Ctrl-C, or the watch wants no more of it
            child.terminate()
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # no answer, or a second Ctrl-C
                child.wait(180)  # seconds to finish a step and save
            child.kill()
            child.wait()
    if child.returncode:
        raise SmartRetailError(reason(child.returncode, Path(log.name).read_bytes()[start:].decode(errors="replace")))


def reason(code: int, output: str) -> str:
    """Return in one line why a command failed; ``code`` is minus a signal's number, or as shells count one."""
    if number := -code if code < 0 else {130: signal.SIGINT, 143: signal.SIGTERM}.get(code, 0):
        name = signal.Signals(number).name
        return f"killed by {name}" + " (out of memory?)" * (name == "SIGKILL")  # which Windows does not have
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), (lines or [f"exit code {code}"])[-1])


def newest_version(run: Path) -> Path:
    """Return the newest ``version_N`` of a run, or where its first one will lie."""
    return [run / "version_0", *versions_of(run)][-1]


def read_metrics(version: Path, metric: str) -> pd.DataFrame:
    """Return the validations with a number for ``metric``, also of those before the run was resumed."""
    frames = [pd.DataFrame(columns=["epoch", metric])]
    for path in sorted(version.glob("metrics*.csv")):
        with suppress(OSError, ValueError):  # just being written, or damaged; pandas' own errors are of this kind
            frames.append(pd.read_csv(path))
    table: pd.DataFrame = pd.concat(frames, ignore_index=True).apply(pd.to_numeric, errors="coerce")
    table = table.replace([math.inf, -math.inf], math.nan).dropna(subset=["epoch", metric])
    return table.loc[table["epoch"].between(0, 1e9)].astype({"epoch": int})


def results(version: Path, plan: SweepSettings) -> dict[str, float]:
    """Return the validation values of a run's best epoch, and as ``objective`` the one to compare; else an error."""
    from smart_retail.models.speed import measure_speed  # torch: the help does without

    table = read_metrics(version, plan.metric)
    try:  # as for best.ckpt, only epochs at the final size count
        sizes = read_yaml(version / "config.yaml")["data"].get("progressive") or [0]
        table = table[table["epoch"] >= max(map(int, sizes))]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SmartRetailError(f"{version / 'config.yaml'} is damaged: {one_line(error)}") from error
    if table.empty:
        raise SmartRetailError(f"no {plan.metric} in {version / 'metrics.csv'}")
    best = table.sort_values(plan.metric, ascending=plan.direction == "minimize", kind="stable").iloc[0]
    values = {str(k).removeprefix("val/"): float(v) for k, v in best.filter(regex="^val/").dropna().items()}
    values |= measure_speed(version / "model.pth") if (version / "model.pth").is_file() else {}
    return values | {"objective": float(best[plan.metric])}
