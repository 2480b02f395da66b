"""The Optuna study: what waits, who works on what, and what is taken up again."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from smart_retail.errors import ConfigError
from smart_retail.sweep.journal import open_journal
from smart_retail.sweep.plan import SweepSettings
from smart_retail.sweep.process import identity, is_alive
from smart_retail.sweep.record import check_trial

SILENCE = 300.0
"""Seconds without a sign after which a worker on another machine counts as dead."""
PATIENCE = 30.0
"""Seconds that a second worker waits for the first to write down what is to be tried."""
GIVEN_UP = "given_up_"
"""Begins the study's attribute that names a trial which another one continues: only its own worker may
write to a running trial."""
KILLED = "killed"
"""State of a run that a signal ended, from outside or for want of memory."""


def open_study(plan: SweepSettings) -> optuna.Study:
    """Create the study and line up its trials, or go on with it.

    Raises:
        ConfigError: the storage cannot be reached or is damaged, or the study was made with other settings.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan.folder.mkdir(parents=True, exist_ok=True)
    options: dict[str, Any] = {"study_name": plan.name, "storage": _storage(plan)}
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler(seed=plan.sampler_seed)
    if plan.sampler == "tpe":
        # The seed of one worker: several would all draw the same first points.
        sampler = optuna.samplers.TPESampler(seed=plan.sampler_seed, n_startup_trials=max(2, plan.trials // 4))
    pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
    if plan.pruner == "median":
        pruner = optuna.pruners.MedianPruner(n_startup_trials=plan.pruner_start)
    try:
        study = optuna.create_study(
            direction=plan.direction,  # type: ignore[arg-type]
            sampler=sampler,
            pruner=pruner,
            **options,
        )
        study.set_user_attr("plan", plan.fixed())
    except DuplicatedStudyError:
        study = optuna.load_study(sampler=sampler, pruner=pruner, **options)
        _wait_until_lined_up(study)
        # A second worker with the same seed would draw the same values.
        sampler.reseed_rng()
        _refuse_another(study, plan)
    for trial in study.get_trials(deepcopy=False):
        check_trial(trial, plan.name)
    known = {trial.user_attrs["name"]: trial for trial in shown(study)}
    for name, settings in plan.planned().items():
        if name not in known:
            study.enqueue_trial({}, user_attrs={"name": name, "settings": settings})
        elif plan.enumerated and known[name].user_attrs.get("settings") != json.loads(json.dumps(settings)):
            raise ConfigError(f"configuration {name} has other settings than in study {plan.name}: give it a new name")
    study.set_user_attr("lined_up", True)
    return study


def _storage(plan: SweepSettings) -> BaseStorage:
    if plan.storage is None:
        return open_journal(plan.folder / "study.journal")
    try:
        return optuna.storages.get_storage(plan.storage)
    except Exception as error:  # SQLAlchemy's and its drivers' own kinds
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"storage {plan.storage} cannot be opened: {line}") from error


def _wait_until_lined_up(study: optuna.Study) -> None:
    end = time.monotonic() + PATIENCE
    while not study.user_attrs.get("lined_up") and time.monotonic() < end:
        time.sleep(0.2)


def _refuse_another(study: optuna.Study, plan: SweepSettings) -> None:
    theirs, ours = study.user_attrs.get("plan"), json.loads(json.dumps(plan.fixed()))
    if not isinstance(theirs, dict):
        raise ConfigError(f"study {plan.name} does not say what it was begun with; give another --name")
    for name, value in ours.items():
        if name in theirs and theirs[name] != value:
            raise ConfigError(
                f"study {plan.name} was begun with {name} {theirs[name]}, not {value}: trials would not compare; "
                "give another --name"
            )


def shown(study: optuna.Study) -> list[FrozenTrial]:
    """Return the trials that stand for a configuration: not those that another one continues."""
    given_up = study.user_attrs
    return [
        trial
        for trial in study.get_trials()
        if "name" in trial.user_attrs
        and not (trial.state == TrialState.FAIL and f"{GIVEN_UP}{trial.number}" in given_up)
    ]


def claim(study: optuna.Study) -> Trial | None:
    """Take the next waiting trial; None if there is none. Two workers never get the same one."""
    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        trial = study.ask()
        if "name" in trial.user_attrs:
            trial.set_user_attr("worker", identity(os.getpid()))
            trial.set_user_attr("beat", time.time())
            return trial
        # Another worker was faster with the last one, and Optuna made a new one up.
        study.tell(trial, state=TrialState.FAIL)
    return None


def settings_of(trial: Trial, plan: SweepSettings) -> dict[str, Any]:
    """Return the settings of a trial; of random and tpe those that the sampler chooses now."""
    if plan.enumerated:
        settings: dict[str, Any] = trial.user_attrs["settings"]
        return settings
    chosen = {key: _suggest(trial, key, space) for key, space in plan.search.items()}
    trial.set_user_attr("settings", chosen)
    return chosen


def _suggest(trial: Trial, key: str, space: Any) -> Any:
    if isinstance(space, list):
        # Optuna wants plain values: lists and mappings go through as JSON.
        plain = all(isinstance(value, str | int | float | bool | None) for value in space)
        if plain:
            return trial.suggest_categorical(key, space)
        return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in space]))
    low, high, log, step = space["low"], space["high"], bool(space.get("log")), space.get("step")
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(key, low, high, log=log, step=step or 1)
    return trial.suggest_float(key, low, high, log=log, step=step)


def line_up_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Give up a trial and let its successor wait, which goes on with the same runs."""
    keep: dict[str, Any] = {
        name: trial.user_attrs[name] for name in ("name", "settings", "runs") if name in trial.user_attrs
    }
    study.set_user_attr(f"{GIVEN_UP}{trial.number}", True)
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (UpdateFinishedTrialError, ValueError):
        return  # another worker did
    study.enqueue_trial(trial.params, user_attrs=keep)


def revive(study: optuna.Study) -> int:
    """Line up again what workers left that are no more; return how many."""
    left = [t for t in study.get_trials(states=(TrialState.RUNNING,)) if not _alive(t)]
    for trial in left:
        line_up_again(study, trial)
    return len(left)


def retry(study: optuna.Study, plan: SweepSettings) -> None:
    """Line up once more what failed.

    A killed training goes on with its settings. Where the sampler chose them, one that failed by itself
    is chosen anew: the same values would fail again.
    """
    for trial in {t.user_attrs["name"]: t for t in shown(study)}.values():
        if trial.state != TrialState.FAIL:
            continue
        runs = trial.user_attrs.get("runs", {})
        if plan.enumerated or any(run["state"] == KILLED for run in runs.values()):
            keep = {seed: run for seed, run in runs.items() if run["state"] in ("complete", KILLED)}
            settings, params = trial.user_attrs["settings"], trial.params
        else:
            keep, settings, params = {}, {}, {}
        attributes = {"name": trial.user_attrs["name"], "settings": settings, "runs": keep}
        study.enqueue_trial(params, user_attrs=attributes)


def running(study: optuna.Study) -> int:
    """Return how many trials others are at."""
    return len(study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)))


def _alive(trial: FrozenTrial) -> bool:
    here = is_alive(trial.user_attrs["worker"]) if "worker" in trial.user_attrs else None
    if here is None:
        return bool(time.time() - trial.user_attrs.get("beat", 0) < SILENCE)
    return here
