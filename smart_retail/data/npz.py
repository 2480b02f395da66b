"""Reading ``.npz`` files of arrays that may come from anyone."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.errors import DataError, one_line


def read_npz(path: Path, most_bytes: int) -> dict[str, np.ndarray]:
    """Read all arrays of a file; nothing in it is unpickled.

    Args:
        path: an ``.npz`` file.
        most_bytes: that its arrays may take unpacked: a small file can unfold to a very large one.

    Raises:
        DataError: it is damaged, holds Python objects, or unfolds to more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > most_bytes:
                raise DataError(f"{path} unfolds to {size:,} bytes, more than the {most_bytes:,} that are allowed")
            for member in archive.infolist():
                _check_member(archive, member, path)
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise nearly anything on damaged files
        raise DataError(f"{path} is damaged or no file of arrays: {one_line(error)}") from error


def _check_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """Compare what an array's header promises with what is there: memory is taken by the promise."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
    elements = 1
    for length in shape:
        elements *= int(length)
    if kind.hasobject or elements * kind.itemsize > member.file_size:
        raise DataError(f"{path} is damaged or no file of arrays: {member.filename} is not what its header says")
