"""Where derived files lie (image hashes, drawn faces), and writing them whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return ``$SMART_RETAIL_CACHE``, else ``~/.cache/smart_retail``; made if missing."""
    folder = Path(os.environ.get("SMART_RETAIL_CACHE", "~/.cache/smart_retail")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` that is renamed to it when the block ends well.

    A crash or a full disk leaves the old file, or none, but never half of a new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o666 & ~_umask())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
