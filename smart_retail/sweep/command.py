"""``smart-retail sweep``: the worker's loop, and what happens to the best."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import optuna
from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from smart_retail.config_files import guard_parsers, parse_yaml
from smart_retail.errors import ConfigError
from smart_retail.sweep import leaderboard
from smart_retail.sweep.best import alone, best_of, export, refit
from smart_retail.sweep.check import check
from smart_retail.sweep.plan import SweepSettings, words
from smart_retail.sweep.study import claim, open_study, retry, revive, running
from smart_retail.sweep.trial import run_trial

TERMINATED = 128 + 15
WIDTH = 200
"""Columns of the table where it goes to a file or a pipe."""
DESCRIPTION = """Try configurations with equal budgets and rank them: an Optuna study, each trial a fit in a
process of its own. Started again, it goes on where it stopped. Started twice, also on another machine with
the same --storage, the work is shared. A trial that fails is marked and the rest goes on. Any setting of fit
holds for all trials (--data.soft_labels soft.npz), unless a configuration has its own.
Examples: configs/sweep/ten.yaml (ten configurations), distillation.yaml, ablation.yaml (several seeds), demo.yaml."""


def sweep(args: Sequence[str]) -> None:
    """Run or continue a study; ``args`` are the words after ``sweep``.

    Raises:
        ConfigError: the sweep file, or a setting in it, cannot be used.
    """
    options, plan = read_plan(args)
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        study = work(plan, console, only_table=options.table, again=options.retry)
        if options.refit or options.export:
            finish(study, plan, options, console)
    finally:
        signal.signal(signal.SIGTERM, before)


def read_plan(args: Sequence[str]) -> tuple[Namespace, SweepSettings]:
    """Return the options of the command and the plan that they make.

    Raises:
        ConfigError: one of them cannot be used.
    """
    guard_parsers()
    parser = ArgumentParser(prog="smart-retail sweep", description=DESCRIPTION, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML with any of the settings below")
    parser.add_argument("--table", type=bool, default=False, help="true: only write and print the leaderboard")
    parser.add_argument("--retry", type=bool, default=False, help="true: try failed configurations again")
    parser.add_argument("--refit", type=int | None, help="afterwards train the best again, for this many epochs")
    parser.add_argument("--export", type=str | None, help="afterwards export the best (refitted) to this folder")
    parser.add_argument("--export_config", type=str | None, help="YAML with settings of smart-retail export")
    parser.add_class_arguments(SweepSettings)
    own, settings = of_trials(args)
    options = parser.parse_args(own)  # not instantiated: class paths among the settings are for the trials
    given = {field.name: options.as_dict()[field.name] for field in fields(SweepSettings)}
    plan = SweepSettings(**given | {"settings": given["settings"] | settings})
    if options.refit is not None and options.refit < 1:
        raise ConfigError(f"--refit {options.refit} must be 1 epoch or more")
    return options, plan


def finish(study: optuna.Study, plan: SweepSettings, options: Namespace, console: Console) -> None:
    """Train the best again and export it, as ``--refit`` and ``--export`` ask; the last worker does it."""
    with alone(plan) as mine:
        if not mine or running(study):
            console.print("other workers are still at it: --refit and --export are left to the last one")
            return
        best = best_of(study, plan)
        version = Path(best.folder) if options.refit is None else refit(best, plan, options.refit, console.print)
        console.print(f"best: {best.name}, {version}")
        if options.export:
            export(version, options.export, options.export_config, plan.folder / "export.log")
            console.print(f"bundle: {options.export}")


def of_trials(args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell the sweep's own words from settings of ``fit``, as ``--data.seed 1``, which hold for all trials."""
    own: list[str] = []
    settings: dict[str, Any] = {}
    names = {field.name for field in fields(SweepSettings)} - {"settings"}
    words = iter(args)
    for word in words:
        found = re.fullmatch(r"--(?:settings\.)?((\w+)\.[\w.]+)(?:=(.*))?", word, flags=re.DOTALL)
        if found is None or found[2] in names:
            own.append(word)
            continue
        value = next(words, None) if found[3] is None else found[3]
        if value is None:
            raise ConfigError(f"{word} needs a value")
        settings[found[1]] = parse_yaml(value, f"--{found[1]} {value[:60]}")
    return own, settings


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


def work(plan: SweepSettings, console: Console, only_table: bool = False, again: bool = False) -> optuna.Study:
    """Run trials until none waits, and write the leaderboard."""
    if not only_table:
        check(_candidates(plan))
    study = open_study(plan)
    if not only_table:
        if again:
            retry(study, plan)
        if count := revive(study):
            console.print(f"{count} interrupted: taken up again")
        while (trial := claim(study)) is not None:
            try:
                run_trial(study, trial, plan, console.print)
            finally:
                rows = leaderboard.write(study, plan)
            (mine,) = rows[rows["configuration"] == trial.user_attrs["name"]].to_dict("records")
            if mine["state"] in ("complete", "pruned"):
                leaderboard.write_hparams(mine, plan)
            console.print(f"{mine['configuration']}: {mine['state']} {mine['reason']}")
    rows = leaderboard.write(study, plan)
    leaderboard.show(rows, plan, console)
    console.print(f"table: {plan.folder / 'leaderboard.csv'}")
    return study


def _candidates(plan: SweepSettings) -> list[tuple[str, list[str]]]:
    common = plan.budget_words()
    if plan.enumerated:
        points = plan.planned()
    else:
        ends = {k: s if isinstance(s, list) else [s["low"], s["high"]] for k, s in plan.search.items()}
        points = {f"with {key} {value}": {key: value} for key, values in ends.items() for value in values}
    return [(name, words(plan.configs, plan.settings | point) + common) for name, point in points.items()]
