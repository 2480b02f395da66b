"""Where derived files lie (image hashes, drawn faces), and writing them whole or not at all."""

from __future__ import annotations

import atexit
import contextlib
import difflib
import errno
import glob
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from typing import IO, Any

from smart_retail.errors import ConfigError, one_line

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows has none: nothing is locked there
    fcntl = None

CACHE = "SMART_RETAIL_CACHE"
log = logging.getLogger(__name__)


def cache_folder(*, make: bool = True) -> Path:
    """Return ``$SMART_RETAIL_CACHE``, else ``~/.cache/smart_retail``; made if missing, unless told otherwise.

    Where neither can be written to there is one for the time of the program, which its child processes share.
    """
    folder = Path(os.path.expanduser(os.environ.get(CACHE) or "~/.cache/smart_retail"))  # noqa: PTH111 - never fails
    if not make:
        return folder
    try:
        if folder.parts[0] == "~":
            raise FileNotFoundError("there is no home folder")
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # a mode does not tell what may be written
    except OSError as error:
        os.environ[CACHE] = name = tempfile.mkdtemp(prefix="smart-retail-")
        atexit.register(shutil.rmtree, name, ignore_errors=True)
        log.warning(
            "no folder to keep hashes and drawn faces in (%s): they are kept in %s until the program ends; set %s to a "
            "folder that can be written to",
            one_line(error),
            name,
            CACHE,
        )
        return Path(name)
    return folder


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path`` that is renamed to it when the block ends well.

    A crash or a full disk leaves the old file, or none, but never half of a new one. What a kill leaves
    aside, the next writer of the file removes.

    Raises:
        OSError: with the name of the file, if the disk is full.
    """
    with place_aside(path) as aside:
        yield aside
        permit(aside)
        aside.replace(path)


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
    if folder == Path.cwd() or os.path.ismount(folder):
        raise ConfigError(
            f"{option} {folder} is the working folder or a mount point and cannot be replaced; name a folder inside it"
        )


@contextmanager
def write_folder_aside(folder: Path, mark: str, option: str, what: str) -> Iterator[Path]:
    """Yield a folder aside that takes the place of ``folder`` when the block ends well; see ``check_place``."""
    check_place(folder, mark, option, what)
    folder = folder.resolve()  # a link is followed: what it names is replaced
    former = folder.with_name(f".{folder.name}-former")  # no name of what is aside, and abandoned after a kill
    if not (folder / mark).is_file() and (former / mark).is_file():  # killed between the last two renames
        former.replace(folder)
    with place_aside(folder, is_folder=True) as aside:
        yield aside
        permit(aside)
        shutil.rmtree(former, ignore_errors=True)
        if folder.exists():
            folder.replace(former)
        try:
            aside.rename(folder)
        except OSError:
            if former.exists():
                former.replace(folder)
            raise
        shutil.rmtree(former, ignore_errors=True)


@contextmanager
def place_aside(path: Path, is_folder: bool = False) -> Iterator[Path]:
    """Yield a new empty file or folder beside ``path``, which is removed if it still has its name at the end.

    Raises:
        OSError: with the name of what was to be written, if the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # With this machine's name: locks may not reach another one.
    prefix = f".{path.stem}-aside-{socket.gethostname()}-"
    for left in path.parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError), _held(left):  # by a writer at work, or it was renamed just now
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    if is_folder:
        aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=prefix))
    else:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
        os.close(handle)
        aside = Path(name)
    try:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):  # a file system without locks
                stack.enter_context(_held(aside))
            yield aside
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True) if is_folder else aside.unlink(missing_ok=True)


def permit(path: Path) -> None:
    """Give a new file or folder the usual permissions, which temporary ones do not have."""
    os.umask(mask := os.umask(0))
    path.chmod((0o777 if path.is_dir() else 0o666) & ~mask)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder; where there are no locks nobody takes one for abandoned.

    Raises:
        OSError: another process has it, or there are none.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP), str(path))
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[IO[bytes]]:
    """Hold the lock of a file, open to append; the kernel takes it back however its holders end.

    A process that inherits the file holds the lock too, also if the one that began it is killed.

    Raises:
        BlockingIOError: another process has it, and this one is not to wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield file


def free_name(name: str, taken: set[str]) -> str:
    """Return ``name``, or ``name-2``, ``name-3``, ... if it is taken; it is taken then."""
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    free = next(one for one in names if one not in taken)
    taken.add(free)
    return free


def near_files(path: Path) -> list[str]:
    """Return at most three files of the same folder and ending with names like this one."""
    try:
        there = [file.name for file in path.parent.iterdir() if file.suffix.lower() == path.suffix.lower()]
    except OSError:
        return []
    return [str(path.parent / name) for name in difflib.get_close_matches(path.name, sorted(there), 3)]
