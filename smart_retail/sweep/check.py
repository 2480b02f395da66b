"""``python -m smart_retail.sweep.check``: do words of ``fit`` parse? One process for all of them.

Reads a JSON list of ``[name, [words]]``; prints a JSON list of ``[name, what is wrong]``.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence

from smart_retail.cli import main
from smart_retail.errors import ConfigError


def check(candidates: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Parse what the trials will be called with, before the first begins.

    Raises:
        ConfigError: ``fit`` does not know a setting, or refuses its value.
    """
    done = subprocess.run(
        [sys.executable, "-m", "smart_retail.sweep.check"],
        input=json.dumps(candidates),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ConfigError(f"the configurations cannot be checked: {(done.stderr.strip() or '?').splitlines()[-1]}")
    for name, said in json.loads(done.stdout.splitlines()[-1]):
        raise ConfigError(f"configuration {name}: {said}")


def refusal(words: Sequence[str]) -> str:
    """Return what ``fit`` has against these words; empty if nothing."""
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            code = main(["fit", *words, "--print_config"])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    lines = [line for line in said.getvalue().splitlines() if "error" in line]
    return " ".join((lines or [f"exit code {code}"])[-1].removeprefix("error: ").split()) if code else ""


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answers = [(name, refusal(words)) for name, words in asked]
    print(json.dumps([(name, said) for name, said in answers if said]))
