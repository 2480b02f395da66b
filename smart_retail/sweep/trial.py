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
from smart_retail.sweep.study import Say, line_up_again

SAVING_S = 180.0
"""Seconds that a training has to finish its step and save."""
POLL_S = 0.5
"""Seconds between two looks at a running training."""
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded here: a fork of several threads may not
PR_SET_PDEATHSIG = 1
Watch = Callable[[], None]


class TakenOver(BaseException):
    """Another worker has the trial now; no Exception, for which Optuna would write to a trial that is none of ours."""


class TrainingError(SmartRetailError):
    """A training, or an export, that did not end well; the message is the reason in one line."""


def objective(trial: optuna.Trial, plan: SweepSettings, say: Say) -> float:
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
            trial.set_user_attr("settings", plan.suggest(trial))
        return statistics.mean(_train_seed(trial, plan, seed, say) for seed in plan.seeds)
    except UpdateFinishedTrialError as error:
        raise TakenOver from error
    except KeyboardInterrupt:
        line_up_again(trial.study, trial.study.get_trials()[trial.number])
        raise
    except Exception as error:
        trial.set_user_attr("reason", one_line(error, 300))
        raise


def _train_seed(trial: optuna.Trial, plan: SweepSettings, seed: int, say: Say) -> float:
    begin, reported = time.monotonic(), set[int]()
    name, key = trial.user_attrs["name"], f"seed_{seed}"
    folder = plan.folder / name / key
    run = {"seconds": 0.0} | trial.user_attrs.get(key, {})

    def watch() -> None:
        if seed == plan.seeds[0]:
            report(trial, plan.metric, newest_version(folder), reported)

    try:
        arguments = plan.fit_arguments(trial.user_attrs["settings"], seed, f"{plan.name}/{name}/{key}")
        run |= results(train(folder, arguments, say, watch), plan)
    except TrialPruned:
        run |= results(newest_version(folder) or folder, plan)  # for the table
        raise
    finally:
        run["seconds"] += time.monotonic() - begin
        trial.set_user_attr(key, run)
    return float(run["values"]["objective"])


def report(trial: optuna.Trial, metric: str, version: Path | None, reported: set[int]) -> None:
    """Report validations that are not in ``reported`` yet.

    Raises:
        TrialPruned: the pruner sees no hope.
    """
    table = read_metrics(version, metric).astype({"epoch": int})
    for epoch, value in table[~table["epoch"].isin(reported)].drop_duplicates("epoch")[["epoch", metric]].to_numpy():
        reported.add(int(epoch))
        trial.report(float(value), int(epoch))
        if trial.should_prune():
            raise TrialPruned(f"worse than the median of the others at epoch {epoch + 1:.0f}")


def train(folder: Path, arguments: Sequence[str], say: Say, watch: Watch = lambda: None) -> Path:
    """Train in a run's folder, or go on from its last checkpoint; return ``version_N``.

    Raises:
        TrainingError: it failed.
    """
    with locked(folder / "fit.log") as log:  # waits until a training that outlived its worker has saved
        version = newest_version(folder)
        if version is None or not (version / "model.pth").is_file():
            resumes = version is not None and (version / "checkpoints" / "last.ckpt").is_file()
            say(f"{folder.parent.name}/{folder.name}: {'goes on' if resumes else 'begins'}, log in {log.name}")
            run_command([*arguments, *["--ckpt_path=last"] * resumes], log, watch)
            version = newest_version(folder)
    if version is None:
        raise TrainingError(f"the training left no version_* in {folder}")
    return version


def run_command(arguments: Sequence[str], log: IO[bytes], watch: Watch = lambda: None) -> None:
    """Run a command of ours; if it crashes, or the kernel kills it for want of memory, the worker lives on.

    Args:
        arguments: after ``smart-retail``.
        log: file for its output; the command inherits its lock.
        watch: called now and then; if it raises, the command is asked to save and end.

    Raises:
        TrainingError: the command failed.
    """
    start = log.seek(0, 2)
    # In a session of its own: Ctrl-C comes from us, once. If the worker is killed, the kernel lets it save and end.
    end_with_worker = (lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)) if LIBC else None
    command = [sys.executable, "-m", "smart_retail", *arguments]
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": subprocess.STDOUT}
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=end_with_worker, **streams)
    try:
        while child.poll() is None:
            time.sleep(POLL_S)
            watch()
    except BaseException:
        child.terminate()
        try:
            child.wait(SAVING_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):  # no answer, or a second Ctrl-C
            child.kill()
            child.wait()
        raise
    if child.returncode:
        raise TrainingError(reason(child.returncode, Path(log.name).read_bytes()[start:].decode(errors="replace")))


def reason(code: int, output: str) -> str:
    """Return in one line why a command failed; ``code`` is minus a signal's number, or as shells count one."""
    number = -code if code < 0 else code - 128 if code in (130, 143) else 0
    if number:
        name = signal.Signals(number).name
        return f"killed by {name}" + " (out of memory?)" * (name == "SIGKILL")  # which Windows does not have
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), (lines or [f"exit code {code}"])[-1])


def newest_version(run: Path) -> Path | None:
    """Return the newest ``version_N`` of a run, if any."""
    return next(reversed(versions_of(run)), None)


def read_metrics(version: Path | None, metric: str) -> pd.DataFrame:
    """Return the validations with a number for ``metric``, also of those before the run was resumed."""
    frames = [pd.DataFrame(columns=["epoch", metric])]
    for path in sorted(version.glob("metrics*.csv")) if version else ():
        try:
            frames.append(pd.read_csv(path))
        except (OSError, ValueError):  # pandas' own errors are of this kind
            continue  # not yet, just being written, or damaged
    table: pd.DataFrame = pd.concat(frames, ignore_index=True).apply(pd.to_numeric, errors="coerce")
    table = table.replace([math.inf, -math.inf], math.nan).dropna(subset=["epoch", metric])
    return table.loc[table["epoch"].between(0, 1e9)]


def results(version: Path, plan: SweepSettings) -> dict[str, Any]:
    """Return the ``folder`` of a run and the ``values`` of its best epoch, ``objective`` among them.

    Raises:
        TrainingError: there is no value to compare, or the run's config is damaged.
    """
    from smart_retail.models.speed import measure_speed  # torch: the help does without

    table = read_metrics(version, plan.metric)
    try:  # as for best.ckpt, only epochs at the final size count
        sizes = read_yaml(version / "config.yaml")["data"].get("progressive") or [0]
        table = table[table["epoch"] >= max(map(int, sizes))]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{version / 'config.yaml'} is damaged: {one_line(error)}") from error
    if table.empty:
        raise TrainingError(f"no {plan.metric} in {version / 'metrics.csv'}")
    best = table.sort_values(plan.metric, ascending=plan.direction == "minimize", kind="stable").iloc[0]
    values = {str(k).removeprefix("val/"): float(v) for k, v in best.filter(regex="^val/").dropna().items()}
    values |= measure_speed(version / "model.pth") if (version / "model.pth").is_file() else {}
    return {"folder": str(version), "values": values | {"objective": float(best[plan.metric])}}
