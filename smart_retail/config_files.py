"""A look at YAML before a parser that recurses, unfolds and imports gets it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from smart_retail.errors import ConfigError, one_line
from smart_retail.runs import LOGS

DEPTH = 50
"""Levels of nesting; ours have six. Thousands overflow the parser's stack and end the process."""
SIZE = 1_000_000
"""Bytes of a config file."""
UNFOLDED = 100_000
"""Characters once every alias stands for what it means: a few lines can mean billions."""


def check_config_files(words: Sequence[str]) -> None:
    """Check the files that ``--config FILE`` or ``--config=FILE`` name; missing ones are the parser's to report.

    Raises:
        ConfigError: a file is no text, too large, nested too deeply, or unfolds to too much to be a config.
    """
    for path in named_files(words):
        if path.is_file():
            _check(read_text(path), str(path))


def read_text(path: Path) -> str:
    """Return what a small file of text holds.

    Raises:
        ConfigError: it cannot be read, is no UTF-8, or larger than any config.
    """
    try:
        if path.stat().st_size > SIZE:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes, more than {SIZE:,}")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {one_line(error)}") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {one_line(error)}") from error


def read_yaml(path: Path) -> Any:
    """Return what a YAML file holds, as plain values.

    Raises:
        ConfigError: it cannot be read, is no YAML, or none of a config's size.
    """
    return parse_yaml(read_text(path), str(path))


def parse_yaml(text: str, name: str) -> Any:
    """Return what a YAML text says, as plain values; ``name`` is what a message calls it.

    Raises:
        ConfigError: it is no YAML, or none of a config's size.
    """
    import yaml

    _check(text, name)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, *ODD_TAGS) as error:
        raise ConfigError(f"{name} is no YAML that can be read: {one_line(error)}") from error


def training_config(made_by: Any, places: Sequence[Path] = ()) -> dict[str, Any]:
    """Return the config that a network's file says it was trained with; empty if it names no data.

    Args:
        made_by: what the file tells of its training.
        places: where the training may have run, beside the folder that ``made_by`` names: see ``find_data``.

    Raises:
        ConfigError: it is no YAML, or none of a config's size.
    """
    if not isinstance(made_by, Mapping) or not isinstance(text := made_by.get("config"), str):
        return {}
    config = parse_yaml(text, "the network's training config")
    data = config.get("data") if isinstance(config, dict) else None
    if not isinstance(data, dict) or not data.get("sources"):
        return {}
    find_data(data["sources"], [*places, *recorded_folder(made_by)])
    return dict(config)


def recorded_folder(made_by: Any) -> list[Path]:
    """Return the working directory of a training, if its file tells it."""
    folder = made_by.get("folder") if isinstance(made_by, Mapping) else None
    return [Path(folder)] if isinstance(folder, str) else []


def find_data(sources: Any, places: Sequence[Path]) -> None:
    """Put the path of what lies in one of ``places`` where a source names it as if it lay in this directory.

    A run tells ``table: faces.csv``, and a command on that run may be given anywhere. What is in the present
    directory is taken from there, so that a project may move; what is taken from elsewhere is said.

    Args:
        sources: ``data.sources`` of a config, as plain values or as jsonargparse has them; changed in place.
        places: folders to look in, the first one first.
    """
    for source in sources if isinstance(sources, list) else []:
        given = _values(_values(source).get("init_args"))
        for name, value in given.items():
            if isinstance(value, str) and (name in PLACES or "/" in value or Path(value).suffix):
                given[name] = found_again(value, places)


def found_again(named: Any, places: Sequence[Path]) -> Any:
    """Return a path, or each one in a list or a mapping, as ``find_data`` puts it; what is none stays as it is."""
    if isinstance(named, list):
        return [found_again(value, places) for value in named]
    if isinstance(named, dict):
        return {name: found_again(value, places) for name, value in named.items()}
    try:
        found = next((path for path in (Path(named), *(p / named for p in places)) if path.exists()), None)
    except (OSError, ValueError, TypeError):  # no name of a file
        return named
    if found is None or found == Path(named):
        return named
    print(f"note: {named} is not in this folder; {found} is taken", file=sys.stderr)
    return str(found)


PLACES = ("root", "table", "folder", "path")
"""Settings of sources that are paths, whatever they look like."""


def _values(of: Any) -> dict[str, Any]:
    """Return the values of a mapping or of a namespace, to be changed there."""
    return of if isinstance(of, dict) else getattr(of, "__dict__", {})


def data_section(words: Sequence[str]) -> dict[str, Any]:
    """Return what a command's words say of the data, as far as that is plain without the parser; else nothing.

    Of several files a later one counts; ``--data.sources.init_args.NAME VALUE`` changes the last source.

    Raises:
        ConfigError: a file is no YAML, or none of a config's size.
    """
    found: dict[str, Any] = {}
    for path in named_files(words):
        if LOGS.name in path.absolute().parts:
            return {}  # of a run, whose paths may start from another folder
        content = read_yaml(path) if path.is_file() else None
        section = content.get("data") if isinstance(content, dict) else None
        found |= section if isinstance(section, dict) else {}
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name in ("--data", "--data.sources", "--data.sources+", "--data.tasks"):
            return {}
        sources = found.get("sources")
        if (
            (setting := name.removeprefix("--data.sources.init_args.")) != name
            and isinstance(sources, list)
            and sources
        ):
            given = parse_yaml(value if equals else following, word)
            last = sources[-1] if isinstance(sources[-1], dict) else {}
            found["sources"] = [*sources[:-1], last | {"init_args": (last.get("init_args") or {}) | {setting: given}}]
    return found


@cache
def guard_parsers() -> None:
    """Let jsonargparse look at all YAML first, and import and call less of what it names.

    Unasked, version 4 makes an object of any class that is named where any value may stand, and imports
    ``os`` and ``subprocess`` as willingly as a data set.
    """
    import jsonargparse
    import yaml

    load = jsonargparse.get_loader("yaml")

    def checked(text: str) -> Any:
        _check(text, "a setting, or a file that one names,")
        try:
            return load(text)
        except ODD_TAGS as error:
            raise yaml.YAMLError(one_line(error)) from error

    jsonargparse.set_loader("yaml", checked, (yaml.YAMLError,))
    jsonargparse.set_parsing_settings(instantiate_subclass_spec_in_any=False, import_path_denylist=[])


ODD_TAGS = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""What PyYAML raises beside its own errors: ``!!bool 7``, ``!!timestamp x``, an integer of 5000 digits."""


def named_files(words: Sequence[str]) -> Iterator[Path]:
    """Yield the files that a command's words name as configs."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if name in ("--config", "-c") and (value or (following and not equals)):
            yield Path(value or following)


def _check(text: str, name: str) -> None:
    import yaml

    if len(text) > SIZE:
        raise ConfigError(f"{name} has {len(text):,} characters: no config")
    sizes: dict[str, int] = {}
    levels: list[tuple[str | None, list[int]]] = [(None, [])]  # anchor and sizes of what each open collection holds
    try:
        # Events come from a state machine, which does not recurse.
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            anchor = getattr(event, "anchor", None)
            if isinstance(event, yaml.CollectionStartEvent):
                levels.append((anchor, [1]))
                if len(levels) > DEPTH + 1:
                    raise ConfigError(f"{name} nests more than {DEPTH} levels deep: no config")
                continue
            if isinstance(event, yaml.AliasEvent):
                if any(anchor == outer for outer, _ in levels):
                    raise ConfigError(f"{name}: *{anchor} contains itself: no config")
                levels[-1][1].append(sizes.get(event.anchor or "", 0))
            elif isinstance(event, yaml.ScalarEvent):
                levels[-1][1].append(1 + len(event.value))
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, held = levels.pop()
                levels[-1][1].append(sum(held))
            else:
                continue
            if anchor and not isinstance(event, yaml.AliasEvent):
                sizes[anchor] = levels[-1][1][-1]
            if levels[-1][1][-1] > UNFOLDED:
                raise ConfigError(f"{name} unfolds to more than {UNFOLDED:,} characters: no config")
    except yaml.YAMLError:
        return  # the parser says what is wrong, and where
