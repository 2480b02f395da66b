"""What really breaks: disks that are full, workers that die, folders that vanish, numbers that are none."""

import multiprocessing
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import pytest


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a disk of a few kilobytes; skips the test where that is not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Break(pl.Callback):
    """Breaks something before a training step: a ``worker``, the ``data``, two ``files`` or the ``rate``."""

    def __init__(self, step: int, what: str) -> None:
        self.step, self.what = step, what

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step + 1 != self.step:
            return
        faces = trainer.datamodule.dataset("val").paths
        if self.what == "worker":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        elif self.what == "data":
            shutil.rmtree(Path(faces[0]).parent)
        elif self.what == "files":
            for path in faces[:2]:
                Path(path).unlink()
        elif self.what == "rate":
            for group in trainer.optimizers[0].param_groups:
                group["lr"] = 1e30


def breaks(step: int, what: str) -> dict:
    """Return trainer settings."""
    return {"callbacks": [{"class_path": "tests.helpers.faults.Break", "init_args": {"step": step, "what": what}}]}
