"""What the parsers of all commands share: strictness, switches, and the nearest name for a wrong one.

One grammar, which is that of the YAML: ``--image_size 64``, a list as ``'[a, b]'``, and a switch that stands alone
or before ``true`` or ``false``: a bare ``--retry`` is what people type, and ``--data.splits.drop_leaks false`` turns
off what a config turned on. Lightning's own switches take both, too.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from argparse import SUPPRESS, Action, ArgumentError, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, DefaultHelpFormatter, Namespace

from smart_retail.config_files import guard_parsers, named_files, read_yaml
from smart_retail.errors import ConfigError

STRICT: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
"""A typo is one line instead of the whole usage, and never taken for a setting that begins like it."""
OWN_MODULES: Any = str | list[str] | None
"""Type of the setting ``imports``, which ``own_code.import_own`` reads before any parser does."""
OPTION = re.compile(r"-(?!\.?\d)")
"""How an option begins, and a negative number does not."""
Item = TypeVar("Item")


class Help(RawDescriptionHelpFormatter, DefaultHelpFormatter):
    """Says a default where there is one, and leaves out the names of Python's types."""

    def _get_help_string(self, action: Action) -> str:
        silent = action.required or action.default in (None, False, SUPPRESS)
        return (action.help or "") + ("" if silent else " (default: %(default)s)")


def command_parser(command: str, description: str, *, imports: bool = False, **more: Any) -> ArgumentParser:
    """Return the parser of a command, with ``--imports`` if it runs networks, and else without arguments yet."""
    guard_parsers()
    description = "\n".join(textwrap.fill(line, 100) for line in description.split("\n"))
    parser = ArgumentParser(
        prog=f"smart-retail {command}", description=description, formatter_class=Help, **STRICT, **more
    )
    if imports:
        parser.add_argument(
            "--imports", type=OWN_MODULES, help="modules of your own to import: my_ideas for my_ideas.py"
        )
    return parser


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Return the values of a command's words; raises as ``reading`` does."""
    with reading(parser, words):
        return parser.parse_args(positionals_first(parser, words))


def positionals_first(parser: ArgumentParser, words: Sequence[str]) -> list[str]:
    """Return the words with those in front that no option takes.

    argparse wants them side by side; ``evaluate a.csv --output report b.csv`` is what people type.
    """
    front, rest, left = [], [], list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            front.append(word)
            continue
        rest.append(word)
        action = parser._option_string_actions.get(word)
        takes = 0 if "=" in word else 1 if action is None or action.nargs is None else action.nargs
        if takes == "?" and action.const is True and left and left[0].lower() not in ("true", "false"):
            takes = 0  # a switch alone, before a positional
        while left and (takes == 1 or (takes in ("?", "+", "*") and not OPTION.match(left[0]))):
            rest.append(left.pop(0))
            takes = 0 if takes in (1, "?") else takes
    return front + rest


@contextmanager
def reading(parser: ArgumentParser, words: Sequence[str]) -> Iterator[None]:
    """Let switches stand alone, and name what is near a misspelt setting, while a parser is at work.

    Raises:
        ConfigError: a word, or a key in a file after ``--config``, names no setting.
        ArgumentError: a value is wrong, or a required one missing.
    """
    for action in parser._actions:
        if getattr(action, "_typehint", None) in (bool, bool | None) and action.nargs is None:
            action.nargs, action.const = "?", True
    try:
        yield
    except ArgumentError:
        _tell_misspelt(parser, words)
        raise


def _tell_misspelt(parser: ArgumentParser, words: Sequence[str]) -> None:
    options = {name.lstrip("-+") for name in parser._option_string_actions}
    given = [(word.lstrip("-").partition("=")[0].rstrip("+"), "--") for word in words if word.startswith("--")]
    for file in named_files(words):
        if file.is_file() and isinstance(content := read_yaml(file), dict):
            given += [(key, f"{file}: ") for key in _keys(content)]
    for section in {"model", "data", "trainer"} & {name for name, where in given if where == "--"}:
        if any(option.startswith(f"{section}.") for option in options):
            raise ConfigError(f"--{section} is followed by a dot and a setting; a file goes after --config")
    for name, where in given:
        if not _is_known(name, options):
            dashes = "--" if where == "--" else ""
            near = ", ".join(f"{dashes}{one}" for one in nearest(name, sorted(options)))
            raise ConfigError(f"{where}{name}: no such setting" + (f"; near it: {near}" if near else ""))


def nearest(name: str, known: Sequence[str]) -> list[str]:
    """Return at most three names like this one, or whose last part is like its last part."""
    if name == "model.class_path" and "module" in known:
        return ["module"]  # how Lightning's own command line names a module
    last = {full: full.rpartition(".")[2] for full in known}
    same = difflib.get_close_matches(name.rpartition(".")[2], set(last.values()), 3, 0.75)
    alike = difflib.get_close_matches(name, known, 3, 0.75)
    return list(dict.fromkeys([*alike, *(full for part in same for full in known if last[full] == part)]))[:3]


def as_list(value: Item | list[Item] | tuple[Item, ...] | None) -> list[Item]:
    """Return a value that may be one or several as a list."""
    return [*value] if isinstance(value, (list, tuple)) else [] if value is None else [value]


def _keys(content: dict[Any, Any], before: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from _keys(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def _is_known(name: str, options: set[str]) -> bool:
    """Whether it is an option, a section of them, or a part of the value of one (``model.task_weights.age``)."""
    parts = name.split(".")
    if name in options or any(option.startswith(f"{name}.") for option in options):
        return True
    longest = next((p for n in range(len(parts) - 1, 0, -1) if (p := ".".join(parts[:n])) in options), None)
    return longest is not None and not any(o.startswith(f"{longest}.") and o != f"{longest}.help" for o in options)


def check_above(least: int, **values: Any) -> None:
    """Refuse values, or lists of them, below the least that makes sense; None is none.

    Raises:
        ConfigError: one is too small.
    """
    for name, value in values.items():
        if small := [one for one in as_list(value) if one is not None and one < least]:
            raise ConfigError(f"--{name} {small[0]} must be {least} or more")


def next_steps(*commands: str) -> str:
    """Return the last lines of a command: what to type next."""
    return "next:\n" + "\n".join(f"  smart-retail {command}" for command in commands)
