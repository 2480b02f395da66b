"""The Optuna study: what waits, which worker is at what, what is taken up again, and the table of all that."""

from __future__ import annotations

import json
import time
import warnings
from functools import partial
from typing import Any

import optuna
import pandas as pd
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Column, Table

from smart_retail.errors import ConfigError, one_line
from smart_retail.files import locked, write_aside
from smart_retail.sweep.settings import SweepSettings

say = partial(print, flush=True)  # a sweep's log is read while it grows
warnings.filterwarnings("ignore", category=ExperimentalWarning)  # heartbeats have been experimental since 2.9
line_up_again = RetryHeartbeatStaleTrialCallback()  # lets a copy wait, which goes on from the trial's checkpoints
STATES = pd.CategoricalDtype(["complete", "pruned", "running", "waiting", "failed"], ordered=True)  # by rank
METRICS = {"_acc": "{:.1%}", "_mae": "{:.2f}"}  # how the names of shown metrics end, and their numbers look


def open_study(plan: SweepSettings, retry: bool = False) -> optuna.Study:
    """Create the study, or go on with it if its settings are the same; ``retry`` lines up again what failed.

    Raises:
        ConfigError: the storage cannot be used, or the study was made with other settings.
    """
    url = plan.storage or f"sqlite:///{plan.folder / 'study.db'}"
    with locked(plan.folder / "study.lock"):  # or workers that begin together would line up everything twice
        try:
            study = _create(plan, url)
            known = newest_trials(study)
        except Exception as error:  # Optuna's, SQLAlchemy's and each driver's own kinds
            raise ConfigError(f"storage {url} is unusable, move it away or name another: {one_line(error)}") from error
        tpe = TPESampler(seed=plan.sampler_seed, n_startup_trials=max(2, plan.trials // 4))
        study.sampler = tpe if plan.sampler == "tpe" else RandomSampler(seed=plan.sampler_seed)
        study.pruner = MedianPruner(n_startup_trials=plan.pruner_start) if plan.pruner == "median" else NopPruner()
        if known:
            study.sampler.reseed_rng()  # or this worker would draw what the first one has drawn
        elif any(plan.folder.glob("*/seed_*")):
            raise ConfigError(f"{plan.folder} has trainings of another study: move it away, or give another --name")
        _line_up(study, plan, known)
        for trial in known.values() if retry else ():
            # A worker that is killed before the first heartbeat leaves a trial that Optuna never counts as stale.
            lost = trial.state == TrialState.RUNNING and trial.user_attrs.get("begun") != trial.number
            if lost or trial.state == TrialState.FAIL:
                trial.user_attrs.pop("reason", None)
                line_up_again(study, trial)
    return study


def _create(plan: SweepSettings, url: str) -> optuna.Study:
    # Left to itself, Python's driver begins a transaction at the first write: two workers would both read that a
    # trial waits, and both take it. (SQLAlchemy's documentation of SQLite, "transactional modes".)
    sqlite = {"connect_args": {"timeout": 60, "isolation_level": None}} if url.startswith("sqlite") else None
    beats: Any = {"heartbeat_interval": max(1, plan.grace_period // 6), "grace_period": plan.grace_period}
    storage = RDBStorage(url, sqlite, heartbeat_stale_trial_callback=line_up_again, **beats)
    if sqlite:
        sqlalchemy.event.listen(storage.engine, "begin", lambda link: link.exec_driver_sql("BEGIN IMMEDIATE"))
    return optuna.create_study(study_name=plan.name, storage=storage, direction=plan.direction, load_if_exists=True)


def _line_up(study: optuna.Study, plan: SweepSettings, known: dict[str, FrozenTrial]) -> None:
    fixed = ("configs", "settings", "seeds", "epochs", "minutes", "metric", "direction")  # or no two trials compare
    now, planned = json.loads(json.dumps([{name: getattr(plan, name) for name in fixed}, plan.planned()]))
    then = study.user_attrs.get("plan", now)
    changes = [f"{name} {then.get(name)}, not {now[name]}" for name in now if then.get(name) != now[name]]
    for name, trial in known.items():
        if planned.get(name) not in (None, before := trial.user_attrs["settings"]):
            changes.append(f"configuration {name} {before}, not {planned[name]}")
    if changes:
        raise ConfigError(f"study {plan.name} was begun with {'; '.join(changes)}: not comparable, give another name")
    study.set_user_attr("plan", now)
    for name in [name for name in planned if name not in known]:
        study.enqueue_trial({}, user_attrs={"name": name, "settings": planned[name]})


def newest_trials(study: optuna.Study) -> dict[str, FrozenTrial]:
    """Return the trial that stands for each configuration: one that was lined up again takes the first's place."""
    return {trial.user_attrs["name"]: trial for trial in study.get_trials() if "name" in trial.user_attrs}


def wait_for_work(study: optuna.Study, plan: SweepSettings) -> bool:
    """Return True once a trial waits, also one that a dead worker left; False if none does and no worker is at one."""
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


def leaderboard(trials: list[FrozenTrial], direction: str) -> pd.DataFrame:
    """Return one row a configuration, the best first.

    ``score`` is what is compared; it and the metrics (also of each data set: ``utkface/age_mae``) are
    means over the seeds, of each seed's best epoch; ``*_spread`` their sample standard deviation;
    ``minutes`` is of one training; ``latency_ms`` of one image on one thread.
    """
    found: list[dict[str, Any]] = []
    for trial in trials:
        given, failed = trial.user_attrs, trial.state == TrialState.FAIL
        runs = [run for name, run in given.items() if name.startswith("seed_")]
        done = [run["values"] | {"score": run["values"]["objective"]} for run in runs if "values" in run]
        metrics = sorted({name for values in done for name in values if name.endswith(tuple(METRICS))})
        values = pd.DataFrame(done, columns=["score", *metrics, "parameters", "latency_ms"], dtype=float)
        row: Any = {"configuration": given["name"], "state": "failed" if failed else trial.state.name.lower()}
        for name in ("score", *metrics):
            row |= {name: values[name].mean(), f"{name}_spread": values[name].std()}
        row |= {"seeds": len(done), "minutes": pd.Series([run["seconds"] for run in runs], dtype=float).mean() / 60}
        row |= values[["parameters", "latency_ms"]].mean().to_dict()
        reason = given.get("reason", "its worker was killed" * failed)
        found.append(row | {"reason": reason} | (given["settings"] or {}))
    rows = pd.DataFrame(found, columns=None if found else ["state", "score"]).astype({"state": STATES})
    rows = rows.sort_values(["state", "score"], ascending=[True, direction == "minimize"], ignore_index=True)
    complete = rows["state"] == "complete"
    rows.insert(0, "rank", complete.cumsum().where(complete).astype("Int64"))
    return rows


def write(study: optuna.Study, plan: SweepSettings) -> pd.DataFrame:
    """Write ``leaderboard.csv`` and ``leaderboard.md`` into the study's folder, whole or not at all."""
    rows = leaderboard(list(newest_trials(study).values()), plan.direction)
    with write_aside(plan.folder / "leaderboard.csv") as aside:
        rows.to_csv(aside, index=False, float_format="%.6g")
    with write_aside(plan.folder / "leaderboard.md") as aside, aside.open("w", encoding="utf-8") as file:
        Console(file=file, width=10_000, markup=False).print(f"# {plan.name}", table(rows, plan), sep="\n")
    return rows


def table(rows: Any, plan: SweepSettings) -> Table:
    """Return what is shown of the rows; a metric that was measured on several data sets has a column for each."""
    metrics = {"score": plan.metric}
    for metric in [name for name in rows if name.endswith(tuple(METRICS)) and "/" not in name]:
        first, *_, last = metric.split("_")
        if metric != f"{first}_{last}" in rows:  # of emotion_acc and emotion_crowd_acc the first is shown
            continue
        each = [name for name in rows if name.endswith(f"/{metric}")]
        metrics |= {name: name.replace("_", " ") for name in (each if len(each) > 1 else [metric])}
    more = ("seeds", "minutes", "million parameters", "latency ms", Column("why", overflow="fold"))
    shown = Table("rank", "configuration", "state", *metrics.values(), *more, box=MARKDOWN)
    for row in rows.to_dict("records"):
        cells = [_text("{:.0f}", row["rank"]), row["configuration"], row["state"]]
        cells += [_text(METRICS.get(name[-4:], "{:.4f}"), row[name], row[f"{name}_spread"]) for name in metrics]
        cells += [str(row["seeds"]), _text("{:.1f}", row["minutes"]), _text("{:.2f}", row["parameters"] / 1e6)]
        shown.add_row(*cells, _text("{:.1f}", row["latency_ms"]), row["reason"].replace("|", "/"))
    return shown


def _text(form: str, *values: float) -> str:
    return " ± ".join(form.format(value) for value in values if not pd.isna(value))
