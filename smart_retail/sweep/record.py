"""What a trial says of itself in the storage, which is a file that anybody may have written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optuna.trial import FrozenTrial

from smart_retail.errors import ConfigError
from smart_retail.sweep.plan import FOLDER


def check_trial(trial: FrozenTrial, study: str) -> None:
    """Check the kinds of all attributes that are used, and that a name leads to a folder inside the study's.

    Raises:
        ConfigError: one of them cannot be what a worker wrote.
    """
    for name, value in trial.user_attrs.items():
        if not ATTRIBUTES.get(name, _anything)(value):
            raise ConfigError(
                f"study {study}: {name} of trial {trial.number} is damaged: {value!r:.80}; give another --name"
            )


def _anything(value: Any) -> bool:
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _process(value: Any) -> bool:
    parts = value.split(":") if isinstance(value, str) else []
    return len(parts) == 3 and parts[1].isascii() and parts[1].isdigit() and 0 < int(parts[1]) < 2**31


def _runs(value: Any) -> bool:
    return _mapping(value) and all(_run(run) for run in value.values())


def _run(run: Any) -> bool:
    if not _mapping(run) or not _text(run.get("state")) or not _number(run.get("seconds")):
        return False
    if run["state"] == "complete" and not ("values" in run and _text(run.get("folder"))):
        return False
    values = run.get("values", {"objective": 0.0})
    child = _process(run["child"]) if "child" in run else True
    return child and _mapping(values) and "objective" in values and all(map(_number, values.values()))


ATTRIBUTES: Mapping[str, Callable[[Any], bool]] = {
    "name": lambda name: isinstance(name, str) and bool(FOLDER.fullmatch(name)),
    "settings": _mapping,
    "chosen": _mapping,
    "runs": _runs,
    "worker": _process,
    "beat": _number,
    "pruned_at": _number,
    "reason": _text,
}
