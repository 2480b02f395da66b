"""The Optuna study: what waits, which worker is at what, and what is taken up again."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from smart_retail.errors import ConfigError, one_line
from smart_retail.files import locked
from smart_retail.sweep.settings import SweepSettings

Say = Callable[[str], None]
LOCK_TIMEOUT_S = 60
"""Seconds that a worker waits for its turn to write to SQLite."""
warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats have been experimental since 2.9
line_up_again = RetryHeartbeatStaleTrialCallback()
"""Lets a copy of a trial wait, which takes its place and goes on from its checkpoints."""


def open_study(plan: SweepSettings, retry: bool = False) -> optuna.Study:
    """Create the study and line up its trials, or go on with it; ``retry`` lines up again what failed.

    Raises:
        ConfigError: the storage cannot be used, or the study was made with other settings.
    """
    tpe = optuna.samplers.TPESampler(seed=plan.sampler_seed, n_startup_trials=max(2, plan.trials // 4))
    sampler = tpe if plan.sampler == "tpe" else optuna.samplers.RandomSampler(seed=plan.sampler_seed)
    median = optuna.pruners.MedianPruner(n_startup_trials=plan.pruner_start)
    pruner = median if plan.pruner == "median" else optuna.pruners.NopPruner()
    url = plan.storage or f"sqlite:///{plan.folder / 'study.db'}"
    given: dict[str, Any] = {"sampler": sampler, "pruner": pruner, "load_if_exists": True}
    with locked(plan.folder / "study.lock"):  # or workers that begin together would line up everything twice
        try:
            storage = _storage(url, plan.grace_period)
            study = optuna.create_study(study_name=plan.name, storage=storage, direction=plan.direction, **given)
            known = newest_trials(study)
        except Exception as error:  # Optuna's, SQLAlchemy's and each driver's own kinds
            reason = f"move it away or name another: {one_line(error)}"
            raise ConfigError(f"storage {url} cannot be used, {reason}") from error
        if known:
            sampler.reseed_rng()  # or this worker would draw what the first one has drawn
        elif any(plan.folder.glob("*/seed_*")):
            raise ConfigError(f"{plan.folder} has trainings of another study: move it away, or give another --name")
        _refuse_changes(study, plan, known)
        for name, settings in plan.planned().items():
            if name not in known:
                study.enqueue_trial({}, user_attrs={"name": name, "settings": settings})
        for trial in known.values() if retry else ():
            # A worker that is killed before the first heartbeat leaves a trial that Optuna never counts as stale.
            lost = trial.state == TrialState.RUNNING and trial.user_attrs.get("begun") != trial.number
            if lost or trial.state == TrialState.FAIL:
                trial.user_attrs.pop("reason", None)
                line_up_again(study, trial)
    return study


def _storage(url: str, grace_period: int) -> RDBStorage:
    arguments = {"connect_args": {"timeout": LOCK_TIMEOUT_S}} if url.startswith("sqlite") else None
    beats: dict[str, Any] = {"heartbeat_interval": max(1, grace_period // 6), "grace_period": grace_period}
    storage = RDBStorage(url, arguments, heartbeat_stale_trial_callback=line_up_again, **beats)
    if storage.engine.dialect.name == "sqlite":
        # Python's driver begins a transaction at the first write only: two workers would both read that a trial
        # waits, and both take it. (SQLAlchemy's documentation of SQLite, "transactional modes".)
        storage.engine.dispose()
        sqlalchemy.event.listen(storage.engine, "connect", lambda driver, _: setattr(driver, "isolation_level", None))
        sqlalchemy.event.listen(storage.engine, "begin", lambda link: link.exec_driver_sql("BEGIN IMMEDIATE"))
    return storage


def _refuse_changes(study: optuna.Study, plan: SweepSettings, known: dict[str, FrozenTrial]) -> None:
    ours, planned = json.loads(json.dumps([plan.fixed(), plan.planned()]))
    theirs = study.user_attrs.get("plan", ours)
    for name in [name for name in ours if theirs.get(name) != ours[name]]:
        change = f"{name} {theirs.get(name)}, not {ours[name]}"
        raise ConfigError(f"study {plan.name} was begun with {change}: trials would not compare; give another --name")
    for name in planned.keys() & known:
        if planned[name] not in (None, known[name].user_attrs["settings"]):
            raise ConfigError(f"configuration {name} has other settings than in study {plan.name}: give it a new name")
    study.set_user_attr("plan", ours)


def newest_trials(study: optuna.Study) -> dict[str, FrozenTrial]:
    """Return the trial that stands for each configuration: one that was lined up again takes the first's place."""
    return {trial.user_attrs["name"]: trial for trial in study.get_trials() if "name" in trial.user_attrs}


def wait_for_work(study: optuna.Study, plan: SweepSettings, say: Say) -> bool:
    """Return True as soon as a trial waits, False when none waits and no worker is at one any more.

    What a dead worker left waits again once its heartbeat is older than the grace period.
    """
    reported = ""
    while True:
        optuna.storages.fail_stale_trials(study)
        states = {name: trial.state for name, trial in newest_trials(study).items()}
        busy = ", ".join(name for name, state in states.items() if state == TrialState.RUNNING)
        if TrialState.WAITING in states.values() or not busy:
            return TrialState.WAITING in states.values()
        if busy != reported:
            say(f"waits for {busy}: taken up again if its worker gives no sign of life for {plan.grace_period} s")
        reported = busy
        time.sleep(1.0)
