"""What becomes of the best configuration: a longer training, a bundle."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from smart_retail.errors import ConfigError, ExportError
from smart_retail.sweep.leaderboard import leaderboard
from smart_retail.sweep.plan import SweepSettings
from smart_retail.sweep.process import newest_version, reason, run_child
from smart_retail.sweep.study import shown


@dataclass(frozen=True)
class Best:
    """The first of the leaderboard.

    Attributes:
        name: of the configuration.
        settings: what it changes.
        folder: ``version_N`` of its best seed.
    """

    name: str
    settings: dict[str, Any]
    folder: str


@contextmanager
def alone(plan: SweepSettings) -> Iterator[bool]:
    """Tell whether no other worker is at the best configuration; those that end together would all fit it."""
    with (plan.folder / "best.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back by the kernel, however this ends
        except BlockingIOError:
            yield False
        else:
            yield True


def best_of(study: optuna.Study, plan: SweepSettings) -> Best:
    """Return the best configuration of a study.

    Raises:
        ConfigError: none is complete.
    """
    trials = shown(study)
    rows = leaderboard(trials, plan.direction)
    if rows.empty or rows["state"][0] != "complete":
        raise ConfigError(f"study {plan.name} has no complete configuration to refit or to export")
    trial = next(t for t in reversed(trials) if t.user_attrs["name"] == rows["configuration"][0])
    sign = 1 if plan.direction == "maximize" else -1
    runs = [run for run in trial.user_attrs.get("runs", {}).values() if run["state"] == "complete"]
    if not runs:
        raise ConfigError(
            f"study {plan.name}: {trial.user_attrs['name']} is complete without a run; give another --name"
        )
    run = max(runs, key=lambda run: sign * run["values"]["objective"])
    return Best(trial.user_attrs["name"], trial.user_attrs["settings"], run["folder"])


def refit(best: Best, plan: SweepSettings, epochs: int, say: Callable[[str], None]) -> Path:
    """Train a configuration again with another budget and the first seed; interrupted, it goes on.

    Returns:
        The folder of the run, ``.../refit/<configuration>/epochs_<N>/version_N``.

    Raises:
        ConfigError: the training failed.
    """
    run = f"refit/{best.name}/epochs_{epochs}"
    folder = plan.folder / run
    version = newest_version(folder)
    if version is not None and (version / "model.pth").is_file():
        return version
    log = folder / "fit.log"
    resumed = version is not None and (version / "checkpoints" / "last.ckpt").is_file()
    say(f"{best.name}: fitted again for {epochs} epochs, log in {log}")
    words = [*plan.fit_words(best.settings, plan.seeds[0], f"{plan.name}/{run}"), f"--trainer.max_epochs={epochs}"]
    start = log.stat().st_size if log.is_file() else 0
    code = run_child(words + (["--ckpt_path=last"] if resumed else []), log)
    version = newest_version(folder)
    if code != 0 or version is None:
        raise ConfigError(f"{best.name} failed when it was fitted again: {reason(code, log, start)}")
    return version


def export(version: Path, output: str, config: str | None, log: Path) -> None:
    """Export the best checkpoint of a run.

    Raises:
        ExportError: the export failed, or INT8 lost more than it may.
    """
    words = ["export", *(["--config", config] if config else []), "--checkpoint", str(version), "--output", output]
    start = log.stat().st_size if log.is_file() else 0
    code = run_child(words, log)
    if code != 0:
        raise ExportError(f"{version} was not exported: {reason(code, log, start)}")
