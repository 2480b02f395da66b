"""Where runs lie: ``lightning_logs/<run>/version_N``, and how one is found again."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from smart_retail.errors import CheckpointError, ConfigError

LOGS = Path("lightning_logs")


def find_checkpoint(wanted: str, run: str, logs: Path = LOGS) -> Path:
    """Return the checkpoint that ``last``, ``best``, a folder of a run, or a path means.

    Args:
        wanted: ``last`` or ``best`` (of the newest version of ``run``), a run's folder (its best), or
            a checkpoint file.
        run: name of the run.
        logs: folder of all runs.

    Raises:
        CheckpointError: there is no such file.
    """
    if wanted in ("last", "best"):
        found = [p / "checkpoints" / f"{wanted}.ckpt" for p in versions_of(logs / run)]
        if found and not found[-1].is_file() and any(p.is_file() for p in found):
            older = next(p for p in reversed(found) if p.is_file())
            raise CheckpointError(f"{wanted}: {found[-1]} was never written; the run before has {older}")
        if not found or not found[-1].is_file():
            raise CheckpointError(
                f"{wanted}: no {logs / run}/version_*/checkpoints/{wanted}.ckpt; train first, or name a file"
            )
        return found[-1]
    path = Path(wanted)
    if path.is_dir():
        path = path / "checkpoints" / "best.ckpt"
    if not path.is_file():
        raise CheckpointError(f"{wanted}: no such checkpoint" + (f" ({path})" if str(path) != wanted else ""))
    return path


def versions_of(run: Path) -> list[Path]:
    """Return ``version_0``, ``version_1``, ... of a run's folder, the oldest first; a ``version_1 (copy)`` is none."""
    found = [path for path in run.glob("version_*") if re.fullmatch(r"version_[0-9]{1,9}", path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("version_")))


def version_of(checkpoint: Path, run: str, logs: Path = LOGS) -> str | None:
    """Return the ``version_N`` a checkpoint belongs to if it is one of this run's, else None."""
    folder = checkpoint.resolve().parent.parent
    return folder.name if folder.parent == (logs / run).resolve() else None


def claim_version(run: Path) -> Path:
    """Make the next ``version_N`` of a run's folder; trainings that start at once get one each.

    Raises:
        ConfigError: nothing can be written there.
    """
    number = max((int(path.name.removeprefix("version_")) + 1 for path in versions_of(run)), default=0)
    while True:
        folder = run / f"version_{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
            number += 1
        except OSError as error:
            way_out = "set --trainer.default_root_dir to a folder that can be written to"
            raise ConfigError(f"the run's folder {folder} cannot be made ({error.strerror}); {way_out}") from error
        else:
            return folder


def drop_if_empty(folder: Path, logs: Path) -> None:
    """Remove a claimed folder in which nothing was written, and what was made for it up to ``logs``."""
    with suppress(OSError):
        while True:
            folder.rmdir()
            if folder == logs:
                return
            folder = folder.parent


def training_folders(path: Path) -> list[Path]:
    """Return where a file of a run says that its training ran: the folder that holds ``lightning_logs``."""
    return [parent.parent for parent in path.absolute().parents if parent.name == LOGS.name]
