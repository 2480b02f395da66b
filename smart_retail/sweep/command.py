"""``smart-retail sweep``: the worker's loop, and what happens to the best."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import pandas as pd
from jsonargparse import ArgumentParser
from rich.console import Console

from smart_retail.sweep import leaderboard
from smart_retail.sweep.check import check
from smart_retail.sweep.plan import SweepSettings, words
from smart_retail.sweep.study import claim, open_study, retry, revive
from smart_retail.sweep.trial import run_trial

TERMINATED = 128 + 15
DESCRIPTION = """Try configurations with equal budgets and rank them: an Optuna study, each trial a fit in a
process of its own. Started again, it goes on where it stopped. Started twice, also on another machine with
the same --storage, the work is shared. A trial that fails is marked and the rest goes on.
Examples: configs/sweep/ten.yaml (ten configurations), ablation.yaml (one question, several seeds), demo.yaml."""


def sweep(args: Sequence[str]) -> None:
    """Run or continue a study; ``args`` are the words after ``sweep``.

    Raises:
        ConfigError: the sweep file, or a setting in it, cannot be used.
    """
    parser = ArgumentParser(prog="smart-retail sweep", description=DESCRIPTION, exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML with any of the settings below")
    parser.add_argument("--table", type=bool, default=False, help="true: only write and print the leaderboard")
    parser.add_argument("--retry", type=bool, default=False, help="true: try failed configurations again")
    names = parser.add_class_arguments(SweepSettings)
    options = parser.instantiate(parser.parse_args(list(args)))
    plan = SweepSettings(**{name: options[name] for name in {n.split(".")[0] for n in names}})
    console = Console()
    signal.signal(signal.SIGTERM, _terminate)
    work(plan, console, only_table=options.table, again=options.retry)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


def work(plan: SweepSettings, console: Console, only_table: bool = False, again: bool = False) -> pd.DataFrame:
    """Run trials until none waits; return the leaderboard."""
    if not only_table:
        check(_candidates(plan))
    study = open_study(plan)
    if not only_table:
        if again:
            retry(study)
        if count := revive(study):
            console.print(f"{count} interrupted: taken up again")
        while (trial := claim(study)) is not None:
            try:
                run_trial(study, trial, plan, console.print)
            finally:
                rows = leaderboard.write(study, plan)
            mine = rows[rows["configuration"] == trial.user_attrs["name"]].to_dict("records")
            if mine and mine[0]["state"] in ("complete", "pruned"):
                leaderboard.write_hparams(mine[0], plan)
            console.print(f"{trial.user_attrs['name']}: {mine[0]['state']} {mine[0]['reason']}")
    rows = leaderboard.write(study, plan)
    leaderboard.show(rows, plan, console)
    console.print(f"table: {plan.folder / 'leaderboard.csv'}")
    return rows


def _candidates(plan: SweepSettings) -> list[tuple[str, list[str]]]:
    common = plan.budget_words()
    if plan.enumerated:
        points = plan.planned()
    else:
        ends = {k: s if isinstance(s, list) else [s["low"], s["high"]] for k, s in plan.search.items()}
        points = {f"with {key} {value}": {key: value} for key, values in ends.items() for value in values}
    return [(name, words(plan.configs, plan.settings | point) + common) for name, point in points.items()]
