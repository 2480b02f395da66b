"""What a sweep file says, checked, and the configurations that follow from it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smart_retail.config_files import read_yaml
from smart_retail.errors import ConfigError
from smart_retail.runs import LOGS

SAMPLERS = ("list", "grid", "random", "tpe")
PRUNERS = ("none", "median")
DIRECTIONS = ("maximize", "minimize")
FOLDER = re.compile(r"(?!\.+$)[\w.-]{1,100}")
"""A name that becomes a folder inside another one: dots alone would lead out of it."""
CONFIG = "config"
"""Key of a configuration that names further YAML files instead of a setting."""
ROOT = "trainer.default_root_dir"


@dataclass(frozen=True)
class SweepSettings:
    """Which configurations are tried, with what budget, and how the best is chosen.

    Attributes:
        name: of the study; everything lies in lightning_logs/<name>, below trainer.default_root_dir if
            an experiment or `settings` has one.
        configs: experiments that every trial starts from, as after `fit --config`.
        sampler: list (the `configurations`), grid, random or tpe (over `search`).
        configurations: by name, the settings that each changes: `model.learning_rate: 0.002`. The key
            `config` adds YAML files.
        search: by setting, a list of values, or `{low: 0.001, high: 0.01, log: true, step: null}`.
        trials: number of configurations that random and tpe try.
        seeds: every configuration is trained once with each (seed_everything and data.seed); the table
            has mean and spread.
        epochs: budget of each training (trainer.max_epochs); null for what the experiment says.
        minutes: budget of each training (trainer.max_time), counted over all its resumptions.
        metric: what is compared, a column of metrics.csv; the best epoch counts.
        direction: maximize or minimize.
        pruner: none, or median: stop a training that is worse than the median of the others at that epoch.
        pruner_start: finished trials before which nothing is pruned.
        storage: Optuna's storage: a URL for several machines; null for a journal file in the study's folder.
        sampler_seed: of random and tpe.
        settings: changed in every trial.
    """

    name: str
    configs: list[str]
    sampler: str = "list"
    configurations: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    trials: int = 10
    seeds: list[int] = field(default_factory=lambda: [0])
    epochs: int | None = None
    minutes: float | None = None
    metric: str = "val/score"
    direction: str = "maximize"
    pruner: str = "none"
    pruner_start: int = 3
    storage: str | None = None
    sampler_seed: int = 0
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked without a training."""
        _one_of("sampler", self.sampler, SAMPLERS)
        _one_of("pruner", self.pruner, PRUNERS)
        _one_of("direction", self.direction, DIRECTIONS)
        if not FOLDER.fullmatch(self.name):
            raise ConfigError(f"name {self.name!r} becomes a folder: letters, digits, _ . - only")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds {self.seeds} must be different numbers, at least one")
        for budget in ("epochs", "minutes", "trials"):
            value = getattr(self, budget)
            if value is not None and value <= 0:
                raise ConfigError(f"{budget} {value} must be more than 0")
        for path in [*self.configs, *itertools.chain(*(c.get(CONFIG, []) for c in self._configurations()))]:
            if not Path(path).is_file():
                raise ConfigError(f"configs: no file {path}; paths start from the working folder")
        if self.sampler == "list" and not self.configurations:
            raise ConfigError("sampler list needs configurations: a name and its settings each")
        if self.sampler != "list" and not self.search:
            raise ConfigError(f"sampler {self.sampler} needs search: a setting and its values each")
        for key, space in self.search.items():
            _check_space(key, space, self.sampler)

    def _configurations(self) -> list[dict[str, Any]]:
        for name, settings in self.configurations.items():
            if not FOLDER.fullmatch(str(name)):
                raise ConfigError(f"configuration {name!r} becomes a folder: letters, digits, _ . - only")
            if not isinstance(settings or {}, dict):
                raise ConfigError(f"configuration {name} must map settings to values, not be {settings!r}")
            if not isinstance((settings or {}).get(CONFIG, []), list):
                raise ConfigError(f"configuration {name}: {CONFIG} must be a list of YAML files")
        return [settings or {} for settings in self.configurations.values()]

    @property
    def root(self) -> str:
        """What ``trainer.default_root_dir`` is in every trial: that of the settings or of the last config with one."""
        if ROOT in self.settings:
            return str(self.settings[ROOT])
        for path in reversed(self.configs):
            config = read_yaml(Path(path))
            trainer = config.get("trainer") if isinstance(config, dict) else None
            if isinstance(trainer, dict) and trainer.get("default_root_dir"):
                return str(trainer["default_root_dir"])
        return "."

    @property
    def folder(self) -> Path:
        """Folder of the study."""
        return Path(self.root) / LOGS / self.name

    @property
    def enumerated(self) -> bool:
        """Whether the configurations are known beforehand."""
        return self.sampler in ("list", "grid")

    def planned(self) -> dict[str, dict[str, Any]]:
        """Return the settings of each configuration by name; empty where the sampler chooses them."""
        if self.sampler == "list":
            return dict(zip(self.configurations, self._configurations(), strict=True))
        if self.sampler == "grid":
            points = itertools.product(*self.search.values())
            return {f"grid_{n:03}": dict(zip(self.search, point, strict=True)) for n, point in enumerate(points)}
        return {f"trial_{number:03}": {} for number in range(self.trials)}

    def varied(self) -> list[str]:
        """Return every setting that differs between configurations."""
        named = {key: None for settings in self.planned().values() for key in settings if key != CONFIG}
        return list(named | dict.fromkeys(self.search))

    def budget_words(self, seconds_used: float = 0.0) -> list[str]:
        """Return the budget as words of ``fit``; a resumed run has what is left of the minutes."""
        words = [] if self.epochs is None else [f"--trainer.max_epochs={self.epochs}"]
        if self.minutes is not None:
            left = max(1, round(60 * self.minutes - seconds_used))
            words.append(
                f"--trainer.max_time={left // 86400:02}:{left // 3600 % 24:02}:{left // 60 % 60:02}:{left % 60:02}"
            )
        return words

    def fit_words(self, settings: Mapping[str, Any], seed: int, run: str) -> list[str]:
        """Return the words of one training, without its budget."""
        seeds = {"seed_everything": seed, "data.seed": seed}
        last = [f"--run={run}", f"--{ROOT}={self.root}", "--trainer.enable_progress_bar=false"]
        return ["fit", *words(self.configs, seeds | self.settings | dict(settings)), *last]

    def fixed(self) -> dict[str, Any]:
        """Return what must stay the same while a study goes on, or its trials could not be compared."""
        names = ("configs", "settings", "seeds", "epochs", "minutes", "metric", "direction")
        return {name: getattr(self, name) for name in names}


def words(configs: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Return configs and settings as words of the command line."""
    values = {key: value for key, value in settings.items() if key != CONFIG}
    files = [*configs, *settings.get(CONFIG, [])]
    return [word for path in files for word in ("--config", path)] + [
        f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()
    ]


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} {value!r} is none of {', '.join(allowed)}")


def _check_space(key: str, space: Any, sampler: str) -> None:
    if isinstance(space, list) and space:
        return
    if sampler == "grid":
        raise ConfigError(f"search.{key}: a grid needs a list of values, not {space!r}")
    if not isinstance(space, dict) or not {"low", "high"} <= space.keys() <= {"low", "high", "log", "step"}:
        raise ConfigError(f"search.{key}: give a list of values or {{low, high, log, step}}, not {space!r}")
    if not all(isinstance(space[end], int | float) for end in ("low", "high")) or not space["low"] < space["high"]:
        raise ConfigError(f"search.{key}: low {space['low']!r} must be a number below high {space['high']!r}")
    if space.get("log") and (space["low"] <= 0 or space.get("step")):
        raise ConfigError(f"search.{key}: log needs a low above 0 and no step")
