"""Where derived files lie (image hashes, drawn faces), and writing them whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import IO

from smart_retail.errors import ConfigError


def cache_folder(*, make: bool = True) -> Path:
    """Return ``$SMART_RETAIL_CACHE``, else ``~/.cache/smart_retail``; made if missing, unless told otherwise."""
    folder = Path(os.environ.get("SMART_RETAIL_CACHE", "~/.cache/smart_retail")).expanduser()
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` that is renamed to it when the block ends well.

    A crash or a full disk leaves the old file, or none, but never half of a new one. What a kill leaves
    aside, the next writer of the file removes.

    Raises:
        OSError: with the name of the file, if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=aside_prefix(path), suffix=path.suffix)
    aside = Path(name)
    try:
        with full_disk_named(path):
            claim(handle)
            yield aside
            aside.chmod(0o666 & ~umask())
            aside.replace(path)
    finally:
        os.close(handle)
        aside.unlink(missing_ok=True)


def check_place(folder: Path, mark: str, option: str, what: str) -> None:
    """Refuse to write where something else lies.

    Args:
        folder: where to write.
        mark: name of the file by which a folder tells that it is one of ours, and may be replaced.
        option: of the command line, for the error.
        what: the folder is to be, for the error.

    Raises:
        ConfigError: the place is taken by something else, or cannot be replaced.
    """
    folder = folder.resolve()
    if folder.exists() and not (folder / mark).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{option} {folder} exists and is no {what}; name another folder")
    if folder == Path.cwd() or folder.is_mount():
        raise ConfigError(
            f"{option} {folder} is the working folder or a mount point and cannot be replaced; name a folder inside it"
        )


@contextmanager
def write_folder_aside(folder: Path, mark: str, option: str, what: str) -> Iterator[Path]:
    """Yield a folder aside that takes the place of ``folder`` when the block ends well; see ``check_place``."""
    check_place(folder, mark, option, what)
    folder = folder.resolve()  # a link is followed: what it names is replaced
    folder.parent.mkdir(parents=True, exist_ok=True)
    former = folder.with_name(f".{folder.name}-former")  # no name of what is aside, and abandoned after a kill
    if not (folder / mark).is_file() and (former / mark).is_file():  # killed between the last two renames
        former.replace(folder)
    remove_abandoned(folder)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=aside_prefix(folder)))
    handle = os.open(aside, os.O_RDONLY)
    claim(handle)
    try:
        with full_disk_named(folder):
            yield aside
            aside.chmod(0o777 & ~umask())
            if folder.exists():
                shutil.rmtree(former, ignore_errors=True)
                folder.replace(former)
                try:
                    aside.rename(folder)
                except OSError:
                    former.replace(folder)
                    raise
                shutil.rmtree(former)
            else:
                aside.rename(folder)
    finally:
        os.close(handle)
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Raise the OSError of a full disk with the name of what was to be written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def free_name(name: str, taken: set[str]) -> str:
    """Return ``name``, or ``name-2``, ``name-3``, ... if it is taken; it is taken then."""
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    free = next(one for one in names if one not in taken)
    taken.add(free)
    return free


def aside_prefix(path: Path) -> str:
    """Return how the names begin under which this machine writes ``path``: locks may not reach another one."""
    return f".{path.stem}-aside-{socket.gethostname()}-"


def claim(handle: int) -> None:
    """Tell other processes that somebody is at work on an open file or folder, for as long as it is open."""
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[IO[bytes]]:
    """Hold the lock of a file, open to append; the kernel takes it back however its holders end.

    A process that inherits the file holds the lock too, also if the one that began it is killed.

    Raises:
        BlockingIOError: another process has it, and this one is not to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield file


def remove_abandoned(path: Path) -> None:
    """Remove what writers of ``path`` left aside that were killed: nobody holds it any more."""
    for left in path.parent.glob(f"{glob.escape(aside_prefix(path))}*"):
        with contextlib.suppress(OSError):  # held, or just renamed
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            finally:
                os.close(handle)


def umask() -> int:
    """Return which permissions new files do not get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
