"""The journal of a study: a line of JSON an operation, as Optuna's own backend writes it.

Optuna's backend locks with a link that a killed worker leaves behind, for which the next one waits without
end, and appends to what a killed worker left of a line, which makes the file unreadable for good.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from smart_retail.errors import ConfigError, one_line

BEGIN = b'{"op_code":'
"""How every line begins."""


def open_journal(path: Path) -> JournalStorage:
    """Open a journal, or begin one; nothing is written before all of it has been read.

    Raises:
        ConfigError: it is a link or no file, or a line in it is damaged.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise ConfigError(f"{path} is no file of its own (a link, a pipe, a folder), and not written to: move it away")
    path.open("ab").close()
    journal = Journal(path)
    try:
        return JournalStorage(journal)
    except (ConfigError, OSError):
        raise
    except Exception as error:  # whatever Optuna stumbles over in a record of another version
        raise journal.damaged(f"{type(error).__name__} {one_line(error, 60)}; of another version?") from error


class Journal(BaseJournalBackend):
    """Optuna's journal with a lock that the kernel takes back from the killed."""

    def __init__(self, path: Path) -> None:
        """Read ``path``, a file that is there, from its beginning."""
        self.path = path
        self.line = 0
        self._starts = {0: 0}  # where in the file the line after so many begins

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Yield the operations after the first ``log_number_from``.

        Raises:
            ConfigError: a line is none.
        """
        with self.path.open("rb") as file:
            file.seek(self._starts[log_number_from])
            self.line = log_number_from
            for line in file:
                self.line += 1
                if not line.endswith(b"\n"):
                    if not _half(line):
                        raise self.damaged("no operation")
                    return  # somebody writes it now, or was killed at it
                self._starts[self.line] = self._starts[self.line - 1] + len(line)
                yield self._operation(line)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write operations, each on a line of its own."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with self.path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._mend(file)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def _operation(self, line: bytes) -> dict[str, Any]:
        try:
            log = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self.damaged(f"no JSON, {one_line(error, 60)}") from error
        if not isinstance(log, dict) or not isinstance(log.get("op_code"), int):
            raise self.damaged("no operation")
        return log

    def _mend(self, file: BinaryIO) -> None:
        """Go to the end of the file; cut off a line whose writer was killed, or had a full disk: nobody has read it."""
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if file.read() in (b"", b"\n"):
            return
        file.seek(0)
        whole = file.read()
        last = whole[whole.rfind(b"\n") + 1 :]
        if not _half(last):
            raise self.damaged("no operation")
        file.truncate(size - len(last))
        file.seek(0, os.SEEK_END)

    def damaged(self, why: str) -> ConfigError:
        """Return what to say of the line that is read now."""
        return ConfigError(
            f"{self.path} is damaged in line {self.line} ({why}) and was left as it is. Go on with those before:\n"
            f"cp {self.path} damaged.journal; head -n {self.line - 1} damaged.journal > {self.path}"
        )


def _half(line: bytes) -> bool:
    """Return whether a line without an end is a part of an operation; a crash of the machine fills up with zeros."""
    written = line.rstrip(b"\0")
    return written.startswith(BEGIN) or BEGIN.startswith(written)
