"""The files that a table names: found however their paths are written, and named the same wherever they lie."""

# A Path for each row would take longer than all the rest of a table.
# ruff: noqa: PTH100, PTH113, PTH117, PTH118, PTH120

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd


def find_files(cells: Sequence[str], root: Path) -> tuple[list[str], list[str]]:
    """Find the files of a table.

    A backslash may stand for a slash, and letters with accents may be written in either of Unicode's ways. A name
    tells where a file lies below ``root``; of absolute paths elsewhere, where it lies below the folder that holds them
    all. So neither moving the data nor writing paths absolute gives a face another name.

    Args:
        cells: (N,) paths as the table writes them.
        root: folder that relative ones start from.

    Returns:
        (N,) paths, "" for a file that is not there, and (N,) names.
    """
    codes, words = pd.factorize(pd.Series(cells, dtype=object))
    base = os.path.abspath(root)
    found, names, outside = [], [], []
    for place, word in enumerate(words):
        written = word
        for spelling in _spellings(word):
            if os.path.isfile(path := os.path.join(root, spelling)):
                written = spelling
                break
        else:
            path = ""
        absolute = os.path.isabs(written)
        name = _below(os.path.normpath(written), base) if absolute else written.replace("\\", "/")
        if name is None:
            outside.append(place)
            name = os.path.normpath(written)
        found.append(str(Path(path)) if path else "")
        names.append(unicodedata.normalize("NFC", posixpath.normpath(name)))
    if outside:
        common = os.path.commonpath([os.path.dirname(names[place]) for place in outside])
        for place in outside:
            names[place] = os.path.relpath(names[place], common)
    return [found[code] for code in codes], [names[code] for code in codes]


def _spellings(word: str) -> Iterator[str]:
    """Yield ways to write a path, the table's own first."""
    for text in dict.fromkeys((word, word.replace("\\", "/"))):
        yield text
        for form in ("NFC", "NFD"):
            if not text.isascii() and (other := unicodedata.normalize(form, text)) != text:  # type: ignore[arg-type]
                yield other


def _below(path: str, base: str) -> str | None:
    """Return how a path goes on below a folder, by its name or by where links lead; None if it is elsewhere."""
    for folder in (base, os.path.realpath(base)):
        if path.startswith(folder + os.sep):
            return path[len(folder) + 1 :]
    return None


def nearby(path: Path) -> str:
    """Return what lies where a file was looked for and is called nearly so: another case or ending; "" if nothing."""
    try:
        alike = sorted(
            p.name for p in path.parent.iterdir() if p.stem.lower() == path.stem.lower() or p.stem == path.name
        )
    except (OSError, ValueError):
        return ""
    return f" (there is {alike[0]})" if alike else ""
