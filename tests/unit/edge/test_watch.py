"""Where frames come from, and ``watch`` from the first frame to the count: drawn faces, the network of the package."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from smart_retail import watch
from smart_retail.cli import main
from smart_retail.data.sources.drawing import FaceSpec, draw_face
from smart_retail.edge import watch as watch_module
from smart_retail.edge.detector import Detection
from smart_retail.edge.frames import Frame
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.source import Live, open_source
from smart_retail.edge.watch import EMOTIONS_NOTE
from smart_retail.errors import ConfigError, DataError
from tests.helpers.mjpeg import MjpegCamera
from tests.helpers.pictures import truncate, write_image

SIDE = 64
PEOPLE = [draw_face(FaceSpec(i % 2, 20.0 + 15 * i, i % 6), np.random.default_rng(i), SIDE) for i in range(3)]


class BlueFrames:
    """Finds faces that have a blue frame of 2 px, which a real detector does without."""

    def detect(self, image: np.ndarray, /) -> Sequence[Detection]:
        blue = (np.abs(image.astype(int) - (0, 0, 255)).max(axis=2) < 100).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(blue)
        return [Detection((x, y, x + w, y + h), 0.9) for x, y, w, h, _ in stats[1:].tolist() if w > 20 and h > 20]


def frame(*faces: tuple[int, int, int]) -> np.ndarray:
    """Return a grey frame with people: number, left, top."""
    image = np.full((240, 320, 3), 128, np.uint8)
    for number, left, top in faces:
        crop = cv2.copyMakeBorder(PEOPLE[number], 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=(0, 0, 255))
        image[top : top + len(crop), left : left + len(crop)] = crop
    return image


def visit(number: int, frames: int = 15) -> list[np.ndarray]:
    """Return frames of somebody who walks through the picture."""
    return [frame((number, 10 + 3 * i, 80)) for i in range(frames)]


VISITS = [*visit(0), *([frame()] * 45), *visit(1), *([frame()] * 45), *visit(2, 20)]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.from_pretrained()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("frames")
    for number, image in enumerate(VISITS):
        write_image(path / f"{number}.png", image)  # 10.png comes after 9.png
    return path


@pytest.fixture
def blue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "open_detector", lambda *_, **__: BlueFrames())


def frames(source: object) -> Iterator[Frame]:
    return (item for item in source if isinstance(item, Frame))  # type: ignore[attr-defined]


def video(path: Path, images: Sequence[np.ndarray], fps: float = 25) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, images[0].shape[1::-1])
    for image in images:
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


def test_pictures_of_a_folder_come_by_their_numbers_and_broken_ones_are_told_of(tmp_path: Path) -> None:
    for number in range(12):
        write_image(tmp_path / f"f{number}.png", np.full((8, 8, 3), 10 * number, np.uint8))
    truncate(tmp_path / "f3.png")
    items = list(open_source(tmp_path))
    assert [i.image[0, 0, 0] // 10 for i in items if isinstance(i, Frame)] == [0, 1, 2, *range(4, 12)]
    assert [i for i in items if isinstance(i, str) and "f3.png" in i]


@pytest.mark.parametrize(("max_fps", "count"), [(None, 50), (10, 20), (100, 50)])
def test_a_video_gives_every_frame_or_as_many_as_are_wanted(tmp_path: Path, max_fps: float | None, count: int) -> None:
    path = video(tmp_path / "a.avi", [np.full((48, 64, 3), 5 * i, np.uint8) for i in range(50)])
    found = list(frames(open_source(path, max_fps=max_fps)))
    assert len(found) == count
    assert found[-1].seconds == pytest.approx(found[-1].came / 25 - 0.04, abs=0.05)
    assert found[0].image.shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.mp4", "nothing.mp4: no such file or folder; a camera is a number"),
        ("words.mp4", "words.mp4 cannot be opened: no video"),
        ("photo.png", "photo.png is one picture"),
        ("rtsp://eve:secret@127.0.0.1:9/x", r"rtsp://...@127.0.0.1:9/x cannot be opened: it cannot be reached"),
        ("99", "99 cannot be opened: no such camera"),
    ],
)
def test_what_cannot_be_watched_ends_with_code_2_and_a_reason(
    name: str, message: str, tmp_path: Path, blue: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.mp4").write_text("words")
    write_image(tmp_path / "photo.png", frame())
    source = name if "://" in name or name.isdecimal() else str(tmp_path / name)
    assert main(["watch", source]) == 2
    told = capsys.readouterr().err
    assert message.replace("\\", "") in told and "secret" not in told


def test_an_empty_folder_and_a_pace_of_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no picture in this folder"):
        open_source(tmp_path)
    with pytest.raises(ConfigError, match="--max_fps 0 must be above 0"):
        open_source(tmp_path, max_fps=0)


def test_of_a_camera_the_latest_frame_is_taken_and_the_others_are_counted() -> None:
    with MjpegCamera([np.full((48, 64, 3), 4 * i, np.uint8) for i in range(60)], fps=100) as camera:
        source = open_source(camera.url)
        assert isinstance(source, Live)
        try:
            first, second = islice(_slowly(frames(source), camera, 20), 2)
        finally:
            source.close()
    assert second.came - first.came >= 15
    assert second.image[0, 0, 0] > first.image[0, 0, 0] + 40


def _slowly(source: Iterator[Frame], camera: MjpegCamera, step: int) -> Iterator[Frame]:
    """Take a frame whenever the camera has sent so many more."""
    for item in source:
        yield item
        until = camera.sent + step
        while camera.sent < until:
            threading.Event().wait(0.01)


def test_a_camera_that_breaks_off_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smart_retail.edge.source.FIRST_WAIT_SECONDS", 0.1)
    told = []
    with MjpegCamera([frame()], fps=50) as camera:
        source = open_source(camera.url)
        try:
            for item in source:
                if isinstance(item, Frame) and item.came == 5:
                    camera.on.clear()
                elif isinstance(item, str):
                    told.append(item)
                    camera.on.set()
                if len(told) == 2:
                    break
        finally:
            source.close()
    assert "broke off after" in told[0] and told[1].endswith("is back")


def test_everybody_is_told_once_and_nobody_twice(folder: Path, predictor: Predictor) -> None:
    events = list(watch(folder, detector=BlueFrames(), predictor=predictor))
    assert [(e.kind, e.visitor) for e in events if e.kind in ("arrived", "left")] == [
        (kind, number) for number in range(3) for kind in ("arrived", "left")
    ]
    left = [event for event in events if event.kind == "left"]
    assert [event.good_frames for event in left] == [15, 15, 20]
    assert all(set(event.prediction.attributes) == {"gender", "age"} for event in left)
    assert events[-1].kind == "end" and events[-1].visitors.total() == 3
    assert not any(isinstance(event, watch_module.FrameEvent) for event in events)


def test_emotions_are_judged_only_when_they_are_asked_for_and_the_law_is_told_first(
    folder: Path, predictor: Predictor
) -> None:
    events = watch(folder, detector=BlueFrames(), predictor=predictor, tasks=["emotion"])
    first, second = islice(events, 2)
    events.close()
    assert first.message == EMOTIONS_NOTE and "Article 5(1)(f)" in EMOTIONS_NOTE
    assert set(second.prediction.attributes) == {"emotion"}


def test_frames_are_yielded_only_when_they_are_asked_for(folder: Path, predictor: Predictor) -> None:
    events = list(watch(folder, detector=BlueFrames(), predictor=predictor, frames=True))
    seen = [event for event in events if isinstance(event, watch_module.FrameEvent)]
    assert len(seen) == len(VISITS)
    assert [len(event.faces) for event in seen[:16]] == [1] * 15 + [0]
    assert len(seen[16].hidden) == 1


def test_a_wall_that_a_detector_takes_for_a_face_is_nobody(tmp_path: Path, predictor: Predictor) -> None:
    class Anywhere:
        def detect(self, image: np.ndarray, /) -> list[Detection]:
            return [Detection((100, 60, 180, 140), 0.95)]

    for number in range(8):
        noise = np.random.default_rng(0).integers(126, 131, (240, 320, 3), dtype=np.uint8)
        write_image(tmp_path / f"{number}.png", noise)
    *_, end = watch(tmp_path, detector=Anywhere(), predictor=predictor)
    assert dict(end.not_judged) == {"blank": 1} and set(end.visitors) == {("unknown", "unknown")}


def test_a_task_that_the_network_does_not_know_is_named(folder: Path, predictor: Predictor) -> None:
    with pytest.raises(ConfigError, match="--tasks hat: this network knows gender, age, emotion"):
        list(watch(folder, detector=BlueFrames(), predictor=predictor, tasks=["age", "hat"]))


def test_the_command_writes_windows_a_video_and_the_total(
    folder: Path, tmp_path: Path, blue: None, capsys: pytest.CaptureFixture[str]
) -> None:
    table, record = tmp_path / "visitors.csv", tmp_path / "seen.avi"
    words = ["--csv", str(table), "--every", "2", "--record", str(record), "--blur", "--tasks", "age"]
    assert main(["watch", str(folder), *words]) == 0
    told = capsys.readouterr().out
    assert "in all, 00:00:00.0 to 00:00:05.6: 3 visitors" in told and "0 of 140 dropped" in told
    lines = table.read_text().splitlines()
    assert lines[0] == "from,to,watched,age,visitors"
    assert sum(int(line.rpartition(",")[2]) for line in lines[1:]) == 3
    assert len(list(frames(open_source(record)))) == pytest.approx(len(VISITS), abs=2)


def test_json_has_one_event_a_line(folder: Path, blue: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(folder), "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["event"] for e in events] == ["arrived", "left"] * 3 + ["window", "end"]
    assert {"visitor", "gender", "age", "gender_probabilities", "spread", "seconds"} <= set(events[1])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_with_the_count_so_far(
    folder: Path, number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(BlueFrames):
        seen = 0

        def detect(self, image: np.ndarray, /) -> Sequence[Detection]:
            self.seen += 1
            if self.seen == 70:
                signal.raise_signal(number)
            return super().detect(image)

    monkeypatch.setattr(watch_module, "open_detector", lambda *_, **__: Interrupted())
    before = signal.getsignal(number)
    assert main(["watch", str(folder)]) == code
    assert "in all, 00:00:00.0 to 00:00:02.8: 2 visitors" in capsys.readouterr().out
    assert signal.getsignal(number) is before


def test_a_live_source_that_is_stopped_ends_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Stopping(BlueFrames):
        def detect(self, image: np.ndarray, /) -> Sequence[Detection]:
            signal.raise_signal(signal.SIGTERM)
            return super().detect(image)

    monkeypatch.setattr(watch_module, "open_detector", lambda *_, **__: Stopping())
    with MjpegCamera([frame()]) as camera:
        assert main(["watch", camera.url]) == 0
    assert "0 visitors" in capsys.readouterr().out


def test_what_is_not_asked_for_is_not_asked_of_the_network(
    folder: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = set()
    session = predictor.session
    monkeypatch.setattr(
        type(session),
        "run_only",
        lambda self, images, names: asked.add(tuple(names)) or self.session.run(names, {"images": images}),
    )
    *_, end = watch(folder, detector=BlueFrames(), predictor=predictor)
    assert asked == {("gender", "age")} and end.tasks == ("gender", "age")
    assert predictor.contract.task_names == ("gender", "age", "emotion")  # it is somebody else's


def test_a_network_of_emotions_alone_counts_people_and_says_nothing_of_them(
    folder: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Predictor, "predict_crops", None)
    *_, end = watch(folder, detector=BlueFrames(), predictor=predictor.only(["emotion"]))
    assert end.visitors == {(): 3} and end.tasks == ()


def test_the_law_is_told_once(folder: Path, blue: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(folder), "--tasks", "emotion", "gender"]) == 0
    said = capsys.readouterr()
    assert said.err.count("Regulation (EU) 2024/1689") == 1 and "2024/1689" not in said.out
    assert all(article in said.err for article in ("Article 5(1)(f)", "Annex III", "Article 50(3)"))
    assert main(["watch", str(folder)]) == 0
    assert "2024/1689" not in capsys.readouterr().err


def test_the_lines_of_the_readme_run(
    folder: Path, tmp_path: Path, blue: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", readme, re.S) if "smart_retail.watch(" in c]
    (tmp_path / "shop.mp4").symlink_to(folder)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.count("in view for 1 s") == 3


def test_blur_without_a_picture_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(folder), "--blur"]) == 2
    assert "--blur covers faces" in capsys.readouterr().err


def test_a_machine_without_a_screen_is_told_what_to_do_instead(
    folder: Path, blue: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert main(["watch", str(folder), "--show"]) == 2
    assert "--record FILE.mp4 writes what it would show" in capsys.readouterr().err


def test_watching_needs_no_torch_and_no_pandas() -> None:
    code = (
        "import sys, smart_retail.edge.watch_command; sys.exit(bool({'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
