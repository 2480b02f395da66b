"""What a sweep file sets, checked, and the configurations that follow from it."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from jsonargparse.typing import PositiveFloat, PositiveInt

from smart_retail.arguments import as_list
from smart_retail.errors import ConfigError, one_line
from smart_retail.runs import LOGS

FOLDER = re.compile(r"(?!\.+$)[\w.-]{1,100}")  # a name inside another folder: dots alone would lead out of it
CONFIG, ROOT = "config", "trainer.default_root_dir"  # more YAML files of a configuration; the folder of all runs


@dataclass(frozen=True)
class SweepSettings:
    """Which configurations are tried, with what budget, and how the best is chosen.

    Attributes:
        name: of the study; everything lies in lightning_logs/<name>, below the trainer.default_root_dir of `settings`.
        configs: experiments that every trial starts from, as after `fit --config`.
        sampler: list (the `configurations`), grid, random or tpe (over `search`).
        configurations: by name, the settings that each changes: `model.learning_rate: 0.002`; `config` adds YAML files.
        search: by setting, a list of values, or `{low: 0.001, high: 0.01, log: true, step: null}`.
        trials: number of configurations that random and tpe try.
        seeds: every configuration is trained once with each (seed_everything and data.seed): the table has the mean.
        epochs: budget of each training (trainer.max_epochs); null for what the experiment says.
        minutes: budget of each training (trainer.max_time), counted over all its resumptions.
        metric: what is compared, a column of metrics.csv; the best epoch counts.
        direction: maximize or minimize.
        pruner: none, or median: stop a training that is worse than the median of the others at its epoch.
        pruner_start: finished trials before which nothing is pruned.
        storage: URL of a database that workers on several machines reach; null for SQLite in the study's folder.
        grace_period: seconds without a heartbeat after which a worker counts as dead and its trial is taken up again.
        sampler_seed: of random and tpe.
        settings: changed in every trial.
    """

    name: str
    configs: list[str]
    sampler: Literal["list", "grid", "random", "tpe"] = "list"
    configurations: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    trials: PositiveInt = 10
    seeds: list[int] = field(default_factory=lambda: [0])
    epochs: PositiveInt | None = None
    minutes: PositiveFloat | None = None
    metric: str = "val/score"
    direction: Literal["maximize", "minimize"] = "maximize"
    pruner: Literal["none", "median"] = "none"
    pruner_start: int = 3
    storage: str | None = None
    grace_period: PositiveInt = 60
    sampler_seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what types cannot say and takes no training."""
        for what, name in [("name", self.name), *(("configuration", name) for name in self.configurations)]:
            if not FOLDER.fullmatch(str(name)):
                raise ConfigError(f"{what} {name!r} becomes a folder: letters, digits, _ . - only")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds {self.seeds} must be different numbers, at least one")
        if self.minutes is not None and self.minutes > 1e6:
            raise ConfigError(f"minutes {self.minutes} must be 1000000 or less")
        try:
            json.dumps([self.configs, self.configurations, self.search, self.settings])  # as the study keeps them
        except (TypeError, ValueError) as error:
            raise ConfigError(f"only numbers, texts, lists and mappings can be set: {one_line(error)}") from error
        needed = "configurations" if self.sampler == "list" else "search"
        if not getattr(self, needed):
            raise ConfigError(f"sampler {self.sampler} needs {needed}; see configs/sweep for examples")
        for key, space in self.search.items():
            if self.sampler == "grid" and not isinstance(space, list):
                raise ConfigError(f"search.{key}: a grid needs a list of values, not {space!r}")
            try:
                self.suggest(optuna.create_study().ask(), key)
            except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
                way_out = f"give a list of values or {{low, high, log, step}}, not {space!r:.80}"
                raise ConfigError(f"search.{key}: {way_out} ({one_line(error, 100)})") from error

    @property
    def folder(self) -> Path:
        """Folder of the study."""
        return Path(self.settings.get(ROOT) or ".") / LOGS / self.name

    def planned(self) -> dict[str, dict[str, Any] | None]:
        """Return the settings of each configuration by name; None where the sampler is yet to choose them."""
        if self.sampler == "list":
            return {str(name): settings or {} for name, settings in self.configurations.items()}
        if self.sampler == "grid":
            points = itertools.product(*self.search.values())
            return {f"grid_{n:03}": dict(zip(self.search, point, strict=True)) for n, point in enumerate(points)}
        return {f"trial_{number:03}": None for number in range(self.trials)}

    def candidates(self) -> dict[str, list[str]]:
        """Return command lines whose check is one of all trials: of a search space, those of each end."""
        points = {f"configuration {name}": point or {} for name, point in self.planned().items()}
        if self.sampler in ("random", "tpe"):
            ends = {k: s if isinstance(s, list) else [s["low"], s["high"]] for k, s in self.search.items()}
            points = {f"search.{k}: {value}": {k: value} for k, values in ends.items() for value in values}
        return {name: self.fit_arguments(point, self.seeds[0], "check") for name, point in points.items()}

    def suggest(self, trial: optuna.Trial, key: str) -> Any:
        """Let the sampler choose one of the settings for a trial."""
        space = self.search[key]
        if isinstance(space, list):  # Optuna takes plain values only: all go through as JSON, lists and mappings too
            return json.loads(trial.suggest_categorical(key, [json.dumps(value) for value in space]))
        whole = isinstance(space["low"], int) and isinstance(space["high"], int)
        suggest: Any = trial.suggest_int if whole else trial.suggest_float
        return suggest(key, **{name: value for name, value in space.items() if value is not None})

    def fit_arguments(self, settings: dict[str, Any], seed: int, run: str, epochs: int | None = None) -> list[str]:
        """Return the command line of one training; ``epochs`` is a budget instead of the one of all trials."""
        values = {"seed_everything": seed, "data.seed": seed} | self.settings | settings
        files = [*self.configs, *as_list(values.pop(CONFIG, None))]
        if epochs or self.epochs:
            values["trainer.max_epochs"] = epochs or self.epochs
        if self.minutes and not epochs:
            values["trainer.max_time"] = {"seconds": max(1, round(60 * self.minutes))}
        values |= {"run": run, ROOT: str(self.settings.get(ROOT) or "."), "trainer.enable_progress_bar": False}
        words = [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]
        return ["fit", *(f"--config={path}" for path in files), *words]
