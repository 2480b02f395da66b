"""A look at config files before a parser that recurses gets them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from smart_retail.errors import ConfigError

DEPTH = 50
"""Levels of nesting; ours have six. Thousands overflow the parser's stack and end the process."""
SIZE = 1_000_000
"""Bytes of a config file."""


def check_config_files(words: Sequence[str]) -> None:
    """Check the files that ``--config FILE`` or ``--config=FILE`` name; missing ones are the parser's to report.

    Raises:
        ConfigError: a file is too large or nested too deeply to be a config.
    """
    for path in _named(words):
        if path.is_file():
            _check(path)


def _named(words: Sequence[str]) -> Iterator[Path]:
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word == "--config" and following:
            yield Path(following)
        elif word.startswith("--config="):
            yield Path(word.partition("=")[2])


def _check(path: Path) -> None:
    import yaml

    if path.stat().st_size > SIZE:
        raise ConfigError(f"{path} has {path.stat().st_size:,} bytes: no config")
    depth = 0
    try:
        # Events come from a state machine, which does not recurse.
        for event in yaml.parse(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEPTH:
                raise ConfigError(f"{path} nests more than {DEPTH} levels deep: no config")
    except (yaml.YAMLError, UnicodeDecodeError):
        return  # the parser says what is wrong, and where
