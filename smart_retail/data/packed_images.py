"""Images of a pack: ``faces-000.parquet#12`` is the image in row 12 of that file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from smart_retail.errors import BrokenImageError, DataError, one_line

IMAGE = "image"
"""The column of encoded images."""
_held: dict[str, pa.BinaryArray] = {}
"""Open files. What is read before a loader forks its workers is shared by them."""


def read_table(file: Path) -> pa.Table:
    """Read a file of a pack whole.

    Raises:
        DataError: it is damaged.
    """
    try:
        # Arrow's own threads do not live on in a forked worker.
        return pq.read_table(file, memory_map=True, use_threads=False)
    except Exception as error:  # pyarrow raises nearly anything on damaged files
        raise DataError(f"{file}: not readable as Parquet ({one_line(error)}); copy or write the pack anew") from error


def hold_images(file: str, table: pa.Table) -> pa.BinaryArray:
    """Keep the images of a file at hand for ``packed_image``, and return them."""
    images = table.column(IMAGE).combine_chunks()
    _held[file] = images
    return images


def packed_image(path: str) -> bytes:
    """Return the encoded image that a path into a pack names.

    Raises:
        BrokenImageError: the file or the row is not there.
    """
    file, _, row = path.rpartition("#")
    images = _held.get(file)
    if images is None:
        try:
            images = hold_images(file, read_table(Path(file)))
        except (DataError, KeyError) as error:
            raise BrokenImageError(f"{path}: cannot be read ({one_line(error)})") from error
    if int(row) >= len(images) or (data := images[int(row)].as_py()) is None:
        raise BrokenImageError(f"{path}: no such image in the pack")
    return bytes(data)
