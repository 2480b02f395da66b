"""``fit``, ``validate`` and ``test``: their help at once, and their work where it is imported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from smart_retail.training.settings_help import SECTIONS, print_settings_help

DESCRIPTIONS = {
    "fit": "Train. Any setting may stand in a config or on the command line; configs/experiment has examples.",
    "validate": "Measure a checkpoint on the validation faces.",
    "test": "Measure a checkpoint on the test faces.",
}


def _run(command: str, words: Sequence[str]) -> None:
    asked = next((words[place + 1 :] for place, word in enumerate(words) if word in ("-h", "--help")), None)
    if asked is not None and {*asked} <= {"run", *SECTIONS}:
        print_settings_help(command, DESCRIPTIONS[command], asked)
        return
    from smart_retail.training.cli import train

    train(command, words)


fit, validate, test = (partial(_run, command) for command in DESCRIPTIONS)
