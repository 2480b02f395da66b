"""One trial: a configuration, trained once with every seed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import Trial, TrialState

from smart_retail.errors import ConfigError
from smart_retail.sweep.plan import SweepSettings
from smart_retail.sweep.process import (
    best_metrics,
    chosen_settings,
    final_size_epoch,
    identity,
    killed_by,
    measure,
    newest_version,
    read_config,
    read_metrics,
    reason,
    run_child,
    wait_until_gone,
)
from smart_retail.sweep.study import KILLED, line_up_again, settings_of

BEAT = 20.0
"""Seconds between two signs of life in the storage."""


def run_trial(study: optuna.Study, trial: Trial, plan: SweepSettings, say: Callable[[str], None]) -> None:
    """Train a configuration and tell the study; stopped by a signal, it is lined up again.

    Args:
        study: where the trial belongs.
        trial: claimed by this worker.
        plan: of the study.
        say: prints one line.
    """
    try:
        settings = settings_of(trial, plan)
        for number, seed in enumerate(plan.seeds):
            run = dict(trial.user_attrs.get("runs", {}).get(str(seed), {"state": "new", "seconds": 0.0}))
            if run["state"] != "complete":
                state = _train(trial, plan, settings, seed, run, say, prunes=number == 0)
                if state != TrialState.COMPLETE:
                    study.tell(trial, state=state)
                    return
        values = [run["values"]["objective"] for run in trial.user_attrs["runs"].values()]
        study.tell(trial, sum(values) / len(values))
    except UpdateFinishedTrialError:
        say(f"{trial.user_attrs['name']}: another worker took it over, since this one gave no sign of life")
    except BaseException:
        line_up_again(study, study.get_trials(deepcopy=False)[trial.number])
        raise


def _train(
    trial: Trial,
    plan: SweepSettings,
    settings: dict[str, Any],
    seed: int,
    run: dict[str, Any],
    say: Callable[[str], None],
    prunes: bool,
) -> TrialState:
    name = f"{plan.name}/{trial.user_attrs['name']}/seed_{seed}"
    folder = plan.folder / trial.user_attrs["name"] / f"seed_{seed}"
    log = folder / "fit.log"
    if "child" in run:
        wait_until_gone(run["child"])
    former = newest_version(folder)
    last = None if former is None else former / "checkpoints" / "last.ckpt"
    resumed = run["state"] in ("running", KILLED) and last is not None and last.is_file()
    before = run["seconds"] if resumed else 0.0
    start = time.monotonic()
    beat = start

    def current() -> Path | None:
        """Return the folder of this training; that of a failed one before it says nothing."""
        found = newest_version(folder)
        return None if found == former and not resumed else found

    def note(state: str) -> None:
        run.update(state=state, seconds=before + time.monotonic() - start)
        trial.set_user_attr("runs", trial.user_attrs.get("runs", {}) | {str(seed): run})
        trial.set_user_attr("beat", time.time())

    reported: set[int] = set()

    def watch() -> bool:
        nonlocal beat
        if time.monotonic() - beat > BEAT:
            beat = time.monotonic()
            note("running")
        return not (prunes and plan.pruner != "none" and _hopeless(trial, plan, current(), reported))

    note("running")
    say(f"{name}: {'goes on' if resumed else 'begins'}, log in {log}")
    command = plan.fit_words(settings, seed, name) + plan.budget_words(before)
    begin = log.stat().st_size if log.is_file() else 0

    def started(pid: int) -> None:
        run["child"] = identity(pid)
        note("running")

    try:
        code = run_child(command + (["--ckpt_path=last"] if resumed else []), log, watch, started)
    except BaseException:
        note("running")
        raise
    version = current()
    pruned = bool(trial.user_attrs.get("pruned_at"))
    try:
        config = {} if version is None else read_config(version)
        values = best_metrics(read_metrics(version), plan.metric, plan.direction, final_size_epoch(config))
    except ConfigError as error:
        note("failed")
        trial.set_user_attr("reason", str(error))
        return TrialState.FAIL
    if version is not None and values:
        values |= measure(version / "model.pth", log) if (version / "model.pth").is_file() else {}
        run.update(values=values, folder=str(version))
        trial.set_user_attr("chosen", chosen_settings(config, plan.varied()))
    if pruned:
        note("pruned")
        trial.set_user_attr("reason", f"below the median at epoch {trial.user_attrs['pruned_at']}")
        return TrialState.PRUNED
    if code != 0 or not values:
        note(KILLED if killed_by(code) else "failed")
        trial.set_user_attr("reason", reason(code, log, begin) if code else f"no {plan.metric} in metrics.csv")
        return TrialState.FAIL
    note("complete")
    return TrialState.COMPLETE


def _hopeless(trial: Trial, plan: SweepSettings, version: Path | None, reported: set[int]) -> bool:
    """Report the validations so far and ask the pruner."""
    table = read_metrics(version)
    if plan.metric not in table:
        return False
    for _, row in table.dropna(subset=[plan.metric]).iterrows():
        epoch = int(row["epoch"])
        if epoch not in reported:
            reported.add(epoch)
            trial.report(float(row[plan.metric]), epoch)
            if trial.should_prune():
                trial.set_user_attr("pruned_at", epoch + 1)
                return True
    return False
