"""Which files of a folder are pictures: the content decides, whatever they are called."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from smart_retail.data.image_header import image_format, is_heic

USUAL = {".bmp", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tif", ".tiff", ".webp"}
"""Endings of pictures, which are not opened to see whether they are some: who reads them tells."""
JUNK_FOLDERS = {"__macosx", "@eadir"}
START = 1024
"""Bytes that tell a file's format."""
HEIC = "HEIC photos (save them as JPEG)"
NO_PICTURE = "no pictures"


class Looked(NamedTuple):
    """A file of a folder, and why it is not taken; "" if it is."""

    path: Path
    why: str


def look(path: Path) -> str:
    """Return why a file is not taken for a picture, "" if it is one, or is called as one.

    What macOS and Windows leave beside pictures (``._face.jpg``, ``Thumbs.db``) is none, and not opened.
    """
    if path.name.startswith("."):
        return NO_PICTURE
    if path.suffix.lower() in USUAL:
        return ""
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return NO_PICTURE
        with path.open("rb") as file:
            start = file.read(START)
    except OSError:
        return "files that cannot be opened"
    return HEIC if is_heic(start) else "" if image_format(start) else NO_PICTURE


def walk(folder: Path) -> Iterator[Looked]:
    """Yield all files in a folder and below, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            continue
        inside = {part.lower() for part in path.relative_to(folder).parts[:-1]}
        yield Looked(path, NO_PICTURE if inside & JUNK_FOLDERS else look(path))
