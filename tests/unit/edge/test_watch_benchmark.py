"""``benchmark watch``: the parts of a frame's time, and what follows from them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from smart_retail import watch
from smart_retail.cli import main
from smart_retail.edge import watch_benchmark
from smart_retail.edge.detector import Detection
from smart_retail.edge.frames import Frame
from smart_retail.edge.watch_benchmark import PARTS, WARM_UP_FRAMES
from tests.helpers.pictures import write_image
from tests.unit.edge.test_watch import BlueFrames, frame, visit


class Slow(BlueFrames):
    """Works for 20 ms more."""

    def detect(self, image: np.ndarray, /) -> Sequence[Detection]:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return super().detect(image)


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(watch_benchmark, "open_detector", lambda *_, **__: Slow())
    return pictures(tmp_path / "visit", 20)


def pictures(path: Path, count: int) -> Path:
    """Write a folder of frames; a video would blur the blue."""
    for number, image in enumerate(visit(0, count)):
        write_image(path / f"{number}.png", image)
    return path


def test_the_time_of_each_part_is_told_apart(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    threads = cv2.getNumThreads()
    assert main(["benchmark", "watch", str(clip), "--detector_size", "[640, 960]", "--format", "json"]) == 0
    assert cv2.getNumThreads() == threads
    small, large = json.loads(capsys.readouterr().out)["timings"]
    assert (small["detector_size"], large["detector_size"]) == (640, 960)
    assert (small["width"], small["height"], small["frames"]) == (320, 240, 20 - WARM_UP_FRAMES)
    assert (small["faces"], small["judged"], small["visitors"]) == (1.0, 1.0, 1)
    assert 20 < small["detector"] < 40 > small["network"] > 0.3
    assert small["all"] == pytest.approx(sum(small[part] for part in PARTS))
    assert small["frames_per_second"] == pytest.approx(1000 / small["all"])
    assert set(small["spread"]) == {"gender", "age"}


def test_the_table_says_how_many_cameras_one_core_carries(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "watch", str(clip), "--frames", "5"]) == 0
    told = capsys.readouterr().out
    assert "320 x 240" in told
    assert "with 960 px one core carries so many of these cameras: " in told


def test_a_source_that_ends_before_time_is_taken_is_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    short = pictures(clip.with_name("short"), WARM_UP_FRAMES)
    assert main(["benchmark", "watch", str(short)]) == 2
    assert f"{WARM_UP_FRAMES} frames are too few" in capsys.readouterr().err


class Own:
    """A source of one's own."""

    live = False

    def __iter__(self) -> Iterator[Frame]:
        for number in range(4):
            yield Frame(frame(), number / 25, number + 1)

    def close(self) -> None:
        """Nothing is open."""


def test_a_source_of_ones_own_is_watched() -> None:
    *_, end = watch(Own(), detector=BlueFrames())
    assert end.judged == 4
