"""What ends ``watch``, and what does not: a full disk, a camera that is gone for a while, Ctrl-C and again Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from smart_retail.cli import main
from smart_retail.edge import watch as watch_module
from smart_retail.edge.detector import Detection
from tests.helpers.faults import small_disk
from tests.helpers.mjpeg import MjpegCamera
from tests.helpers.pictures import write_image
from tests.unit.edge.test_watch import VISITS, BlueFrames, frame

At = Callable[[int, Callable[[], None]], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames")
    for number, image in enumerate(VISITS):
        write_image(path / f"{number}.png", image)
    return path


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> At:
    """Return what lets something happen when so many frames are looked at."""
    plan: dict[int, Callable[[], None]] = {}

    class Planned(BlueFrames):
        seen = 0

        def detect(self, image: np.ndarray, /) -> Sequence[Detection]:
            self.seen += 1
            plan.get(self.seen, lambda: None)()
            return super().detect(image)

    monkeypatch.setattr(watch_module, "open_detector", lambda *_, **__: Planned())
    return plan.__setitem__


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file that takes it."""
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return disk / "filler"


@pytest.mark.parametrize("room", [True, False])
def test_a_full_disk_ends_neither_the_count_nor_loses_a_row(
    folder: Path,
    tmp_path: Path,
    at: At,
    room: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        table, log = disk / "visitors.csv", disk / "log.txt"
        table.touch()
        filler = fill(disk)
        if room:
            at(130, filler.unlink)
        with log.open("w") as out:
            monkeypatch.setattr(sys, "stdout", out)
            code = main(["watch", str(folder), "--csv", str(table), "--every", "2"])
            filler.unlink(missing_ok=True)
        told = capsys.readouterr().err
        lines = table.read_text().splitlines()
    assert "No space left on device; the count goes on, and its rows wait for room" in told
    if room:
        assert code == 0 and "the rows that waited are written" in told
        assert sum(int(line.rpartition(",")[2]) for line in lines[1:]) == 3
    else:
        assert code == 2 and not lines
        (rest,) = (part for part in told.split("lacks these rows, which could not be written:\n")[1:])
        assert rest.startswith("from,to,watched,gender,age,visitors\n") and rest.count("\n00:00") == 3


def test_a_camera_that_is_gone_for_a_while_is_counted_on_until_a_signal(
    at: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("smart_retail.edge.source.FIRST_WAIT_SECONDS", 0.1)
    first = MjpegCamera([frame((0, 40, 60))])
    second = []

    def restart() -> None:
        first.__exit__()
        second.append(MjpegCamera([frame((1, 40, 60))], port=first.server.server_port).__enter__())

    at(20, lambda: threading.Thread(target=restart).start())
    at(50, lambda: signal.raise_signal(signal.SIGTERM))
    table = tmp_path / "visitors.csv"
    with first as camera:
        assert main(["watch", camera.url, "--csv", str(table), "--patience", "0.5"]) == 0
    second[0].__exit__()
    said = capsys.readouterr()
    assert "broke off after" in said.err and "is back" in said.err
    assert said.out.splitlines()[-1].strip() and "in all, " in said.out
    assert sum(int(line.rpartition(",")[2]) for line in table.read_text().splitlines()[1:]) >= 1


def test_a_second_ctrl_c_ends_at_once(folder: Path, at: At, capsys: pytest.CaptureFixture[str]) -> None:
    at(70, lambda: [signal.raise_signal(signal.SIGINT) for _ in range(2)] and None)
    assert main(["watch", str(folder)]) == 130
    assert "in all" not in capsys.readouterr().out


def test_a_table_that_is_no_file_is_refused(folder: Path, at: At, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(folder), "--csv", "/dev/full"]) == 2
    assert "--csv /dev/full cannot be written: it is no ordinary file" in capsys.readouterr().err
