"""``fit``, ``validate``, ``test`` and ``data``: their help at once, and their work where it is imported."""

from __future__ import annotations

from collections.abc import Sequence

from smart_retail.training.settings_help import SECTIONS, print_settings_help

DESCRIPTIONS = {
    "fit": "Train. Any setting may stand in a config or on the command line; configs/experiment has examples.",
    "validate": "Measure a checkpoint on the validation faces.",
    "test": "Measure a checkpoint on the test faces.",
}


def fit(words: Sequence[str]) -> None:
    """Train; ``words`` are those after ``fit``."""
    _run("fit", words)


def validate(words: Sequence[str]) -> None:
    """Measure on the validation faces; ``words`` are those after ``validate``."""
    _run("validate", words)


def test(words: Sequence[str]) -> None:
    """Measure on the test faces; ``words`` are those after ``test``."""
    _run("test", words)


def _run(command: str, words: Sequence[str]) -> None:
    asked = next((words[place + 1 :] for place, word in enumerate(words) if word in ("-h", "--help")), None)
    if asked is not None and {*asked} <= {"run", *SECTIONS}:
        print_settings_help(command, DESCRIPTIONS[command], asked)
        return
    from smart_retail.training.cli import train

    train(command, words)
