"""Configs by name: those that come along are found from any folder, after those in the working directory."""

from __future__ import annotations

import difflib
import itertools
import os
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from smart_retail.errors import ConfigError
from smart_retail.files import near_files

PACKAGE = Path(__file__).parent
CONFIGS = PACKAGE / "configs" if (PACKAGE / "configs").is_dir() else PACKAGE.parent / "configs"
"""The configs that come along: a wheel has them in the package, a checkout beside it."""
FLAGS = ("--config", "-c")
MORE_FLAGS = ("--data", "--export_config")
"""Others that may name such a file; what they name may be something else, too."""
PLAIN = re.compile(r"[\w./\\ -]+")
"""What looks like a path, and not like YAML on the command line."""


def names() -> list[str]:
    """Return the names of all configs that come along, as ``experiment/demo.yaml``."""
    return sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob("*.yaml"))


def find_configs(words: Sequence[str]) -> list[str]:
    """Return a command's words with the paths of the configs that they name.

    Raises:
        ConfigError: there is none of that name.
    """
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        if before in FLAGS + MORE_FLAGS:
            word = find_config(word, before)
        elif equals and name in FLAGS + MORE_FLAGS:
            word = f"{name}={find_config(value, name)}"
        found.append(word)
    return found


def find_config(name: str, flag: str = FLAGS[0]) -> str:
    """Return the path of a config: ``name`` itself, else below ``configs`` here, else among those that come along.

    Args:
        name: as ``experiment/demo.yaml`` or ``configs/experiment/demo.yaml``.
        flag: the option that named it.

    Raises:
        ConfigError: there is none, and it is no YAML on the command line either.
    """
    short = name.removeprefix("./").removeprefix("configs/")
    if not PLAIN.fullmatch(name) or Path(name).is_absolute() or Path(name).exists():
        return name  # what cannot be read is the parser's to report
    for path in (Path("configs", short), CONFIGS / short):
        if path.is_file():
            return str(path)
    if flag in MORE_FLAGS and not name.endswith((".yaml", ".yml")):
        return name
    same = [known for known in names() if Path(known).stem == Path(short).stem]
    near = same + near_files(Path(name)) or difflib.get_close_matches(short, names(), 3)
    told = f"near it: {', '.join(near)}" if near else "smart-retail configs lists those"
    raise ConfigError(f"{flag} {name}: no such file in {Path.cwd()}, nor among the configs that come along; {told}")


def by_name(text: str) -> str:
    """Return a word of a command to type next, a config that comes along by its short name."""
    return text.replace(f"{CONFIGS}{os.sep}", "") if text.endswith(".yaml") else text


def configs(args: Sequence[str]) -> None:
    """List the configs that come along, or print one; ``args`` are the words after ``configs``."""
    from smart_retail.arguments import command_parser, parse

    parser = command_parser(
        "configs",
        "List the configs that come along, or print one to copy: smart-retail configs data/own.yaml > own.yaml. "
        "--config takes these names in every command; a file of that name in the working directory, or below configs "
        "there, comes first.",
    )
    parser.add_argument("name", nargs="?", type=str, help="as experiment/demo.yaml")
    name = parse(parser, args).name
    if name:
        print(Path(find_config(name, "configs")).read_text(encoding="utf-8"), end="")
        return
    for name in names():
        lines = itertools.takewhile(lambda line: line[:1] == "#", (CONFIGS / name).read_text("utf-8").splitlines())
        first, *_ = re.split(r"(?<!\.)\. ", " ".join(line.lstrip("# ") for line in lines))
        print(f"{name:37}{textwrap.shorten(first, 100, placeholder=' ...')}")
