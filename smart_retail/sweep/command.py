"""``smart-retail sweep``: the worker's loop, and what becomes of the best."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import optuna
from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from optuna.exceptions import StorageInternalError
from rich.console import Console

from smart_retail.arguments import command_parser, parse
from smart_retail.config_files import parse_yaml
from smart_retail.errors import ConfigError, SmartRetailError, one_line
from smart_retail.files import locked
from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.study import open_study, say, table, wait_for_work, write
from smart_retail.sweep.trial import TakenOver, newest_version, objective, run_command, train

DESCRIPTION = """Try configurations with equal budgets and rank them: an Optuna study, each trial a fit in a
process of its own. Started again, it goes on where it stopped. Started twice, also on another machine with
the same --storage, the work is shared. A trial that fails is marked and the rest goes on. Any setting of fit
holds for all trials (--data.soft_targets soft.npz), unless a configuration has its own.
Examples: configs/sweep/ten.yaml (ten configurations), distillation.yaml, ablation.yaml (several seeds), demo.yaml."""


def sweep(args: Sequence[str]) -> None:
    """Run or continue a study; ``args`` are the words after ``sweep``, and an error names what cannot be used."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    options, plan = read_plan(args)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the training saves and ends
    try:
        study = open_study(plan) if options.table else _work(plan, options.retry)
        Console(width=None if sys.stdout.isatty() else 200, markup=False).print(table(write(study, plan), plan))
        say(f"table: {plan.folder / 'leaderboard.csv'}")
        if options.refit or options.export:
            _finish(study, plan, options)
    except KeyboardInterrupt:
        say(f"stopped: the same command goes on with {plan.folder}")
        raise
    except StorageInternalError as error:
        raise ConfigError(f"the study cannot be written any more: {one_line(error.__cause__ or error)}") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def read_plan(args: Sequence[str]) -> tuple[Namespace, SweepSettings]:
    """Return the options of the command and the plan that they make; a ConfigError names what cannot be used."""
    parser = command_parser("sweep", DESCRIPTION, imports=True)
    parser.add_argument("--config", action="config", help="YAML with any of the settings below")
    parser.add_argument("--table", type=bool, default=False, help="only write and print the leaderboard")
    parser.add_argument("--retry", type=bool, default=False, help="try again what failed, from its last checkpoint")
    parser.add_argument("--refit", type=PositiveInt | None, help="afterwards train the best again, for so many epochs")
    parser.add_argument("--export", type=str | None, help="afterwards export the best (refitted) to this folder")
    parser.add_argument("--export_config", type=str | None, help="YAML with settings of smart-retail export")
    parser.add_class_arguments(SweepSettings)
    names = {field.name for field in fields(SweepSettings)}
    own, settings = split_settings(args, names - {"settings"})
    options = parse(parser, own)  # not instantiated: class paths among the settings are for the trials
    given = {name: value for name, value in options.as_dict().items() if name in names}
    return options, SweepSettings(**given | {"settings": given["settings"] | settings})


def split_settings(args: Sequence[str], own_names: set[str]) -> tuple[list[str], dict[str, Any]]:
    """Tell the sweep's own words from settings of ``fit``, as ``--data.seed 1``, which hold for all trials."""
    own, settings, words = list[str](), dict[str, Any](), iter(args)
    for word in words:
        found = re.fullmatch(r"--(?:settings\.)?((\w+)\.[\w.]+)(?:=(.*))?", word, flags=re.DOTALL)
        if found is None or found[2] in own_names:
            own.append(word)
        elif (value := next(words, None) if found[3] is None else found[3]) is None:
            raise ConfigError(f"{word} needs a value")
        else:
            settings[found[1]] = parse_yaml(value, f"--{found[1]} {' '.join(value.split())[:60]}")
    return own, settings


def _work(plan: SweepSettings, retry: bool) -> optuna.Study:
    """Run trials until none waits and no other worker is at one; a setting that cannot be used is refused before."""
    from torch.utils.tensorboard import SummaryWriter  # torch and Lightning: the help does without

    from smart_retail.training.cli import check_fit

    check_fit(plan.candidates())
    study = open_study(plan, retry)

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        rows, name = write(study, plan), trial.user_attrs.get("name")
        for row in rows[rows["configuration"] == name].to_dict("records"):
            say(f"{name}: {row['state']} {row['reason']}")
            given = {"configuration": name} | {str(k): str(v) for k, v in row.items() if "." in str(k)}
            means = {f"sweep/{k}": v for k, v in row.items() if isinstance(v, float) and k not in given and v == v}
            with SummaryWriter(str(plan.folder / "hparams")) as board:
                board.add_hparams(given, means, run_name=name)  # type: ignore[no-untyped-call]

    while wait_for_work(study, plan):
        try:
            study.optimize(lambda trial: objective(trial, plan), 1, catch=(SmartRetailError,), callbacks=[after])
        except TakenOver:
            say("another worker took the trial over, since this one gave no sign of life")
    return study


def _finish(study: optuna.Study, plan: SweepSettings, options: Namespace) -> None:
    """Train the best again and export it, as ``--refit`` and ``--export`` ask; one of several workers does it."""
    try:
        best = study.best_trial.user_attrs
    except ValueError as error:
        raise ConfigError(f"study {plan.name} has no complete configuration to refit or to export") from error
    better: Any = max if plan.direction == "maximize" else min
    seed = better(plan.seeds, key=lambda seed: best[f"seed_{seed}"]["values"]["objective"])
    version = newest_version(plan.folder / best["name"] / f"seed_{seed}")
    try:
        with locked(plan.folder / "export.log", wait=False) as log:
            if options.refit:
                run = f"refit/{best['name']}/epochs_{options.refit}"
                words = plan.fit_arguments(best["settings"], plan.seeds[0], f"{plan.name}/{run}", options.refit)
                version = train(plan.folder / run, words)
            say(f"best: {best['name']}, {version}")
            if options.export:
                config = [f"--config={options.export_config}"] * bool(options.export_config)
                run_command(["export", *config, f"--checkpoint={version}", f"--output={options.export}"], log)
                say(f"bundle: {options.export}")
    except BlockingIOError:
        say("another worker is at the best configuration already")
