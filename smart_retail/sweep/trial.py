"""Optuna's objective: a configuration, trained once with every seed."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import optuna
from optuna.exceptions import TrialPruned, UpdateFinishedTrialError

from smart_retail.errors import SmartRetailError, one_line
from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.study import Say, line_up_again
from smart_retail.sweep.training import newest_version, read_metrics, results, train


class TakenOver(BaseException):
    """Another worker has the trial now; no Exception, for which Optuna would write to a trial that is none of ours."""


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
        return statistics.mean(_train(trial, plan, seed, say) for seed in plan.seeds)
    except UpdateFinishedTrialError as error:
        raise TakenOver from error
    except KeyboardInterrupt:
        line_up_again(trial.study, trial.study.get_trials()[trial.number])
        raise
    except Exception as error:
        trial.set_user_attr("reason", one_line(error, 300))
        raise


def _train(trial: optuna.Trial, plan: SweepSettings, seed: int, say: Say) -> float:
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
    table = read_metrics(version, metric)
    for epoch, value in zip(table["epoch"].astype(int), table[metric], strict=True):
        if epoch not in reported:
            reported.add(epoch)
            trial.report(float(value), epoch)
            if trial.should_prune():
                raise TrialPruned(f"worse than the median of the others at epoch {epoch + 1}")
