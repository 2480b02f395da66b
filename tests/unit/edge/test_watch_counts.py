"""Whom a count judges, into which group and window everybody falls, and what a table keeps of it."""

from __future__ import annotations

import csv
import errno
import json
import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from smart_retail.contract import Contract
from smart_retail.data.crops import Square
from smart_retail.data.sources.drawing import FaceSpec, draw_face
from smart_retail.edge import watch_output
from smart_retail.edge.detector import Detection, Landmarks
from smart_retail.edge.frames import Frame
from smart_retail.edge.judgeable import MIN_SHARPNESS, sharpness, weight, why_not
from smart_retail.edge.prediction import Attribute, Prediction
from smart_retail.edge.visitor_count import VisitorCount
from smart_retail.edge.visitors import AGE_BOUNDS, UNKNOWN, Visitor, group
from smart_retail.edge.watch_events import FrameEvent, SeenFace, VisitorEvent, WindowEvent
from smart_retail.edge.watch_output import WindowTable, drawn
from smart_retail.errors import ConfigError
from smart_retail.tasks import AGE, GENDER

CONTRACT = Contract(image_size=112)
FRAME = np.zeros((400, 600, 3), np.uint8)


def said(female: float = 0.9, age: float = 30.0) -> Prediction:
    value = "female" if female > 0.5 else "male"
    return Prediction({"gender": Attribute(value, {"male": 1 - female, "female": female}), "age": Attribute(age)})


def face(x: float = 300, y: float = 200, size: float = 100, *, score: float = 0.9, apart: float = 1.0) -> Detection:
    """Return a face whose eyes are ``apart`` times as far from each other as those of one who looks ahead."""
    eye, up = apart * 0.17 * size, 0.18 * size
    box = (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
    return Detection(box, score, Landmarks((x - eye, y - up), (x + eye, y - up), (x, y + up)))


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (face(), None),
        (face(score=0.6), "unsure"),
        (face(x=51), "cut off"),
        (face(y=385), "cut off"),
        (face(size=25), "small"),
        (face(apart=0.5), "turned"),
        (Detection((250, 150, 350, 250), 0.9), None),
    ],
)
def test_a_face_is_judged_unless_it_is_unsure_cut_off_small_or_turned(found: Detection, reason: str | None) -> None:
    assert why_not(found, found.square(CONTRACT), FRAME.shape[:2]) == reason


def test_blur_in_any_direction_takes_the_sharpness_away() -> None:
    sharp = draw_face(FaceSpec(0, 30.0, 2), np.random.default_rng(0), 112)
    assert sharpness(sharp) > MIN_SHARPNESS
    for kernel in (np.ones((1, 25)), np.ones((25, 1)), np.eye(25)):
        assert sharpness(cv2.filter2D(sharp, -1, kernel / kernel.sum())) < sharpness(sharp) / 3


def test_a_sure_large_frontal_face_counts_most() -> None:
    best = weight(face(), face().square(CONTRACT), CONTRACT)
    for worse in (face(score=0.8), face(size=50), face(apart=0.7)):
        assert 0 < weight(worse, worse.square(CONTRACT), CONTRACT) < best


def test_a_visitors_answer_is_the_weighted_mean_of_its_frames_and_its_spread_is_told() -> None:
    visitor = Visitor(0, 0.0, 0.0)
    for female, age, share in ((0.9, 30, 1.0), (0.2, 60, 0.5), (0.9, 30, 0.5)):
        visitor.add(said(female, age), share)
    assert visitor.prediction is not None
    assert visitor.prediction.gender == "female" and visitor.prediction.gender_probabilities["female"] == pytest.approx(
        0.725
    )
    assert visitor.prediction.age == pytest.approx(37.5)
    assert visitor.spread == pytest.approx({"age": np.sqrt(0.75 * 7.5**2 + 0.25 * 22.5**2), "gender": 1 / 3})


@pytest.mark.parametrize(("age", "name"), [(0, "0-12"), (12.9, "0-12"), (13, "13-19"), (64.9, "50-64"), (80, "65+")])
def test_ages_fall_into_groups(age: float, name: str) -> None:
    assert group(said(age=age), (GENDER, AGE), AGE_BOUNDS) == ("female", name)


def test_an_answer_no_better_than_a_guess_is_unknown() -> None:
    assert group(said(female=0.55), (GENDER, AGE), AGE_BOUNDS) == (UNKNOWN, "20-34")
    assert group(None, (GENDER, AGE), AGE_BOUNDS) == (UNKNOWN, UNKNOWN)


@pytest.mark.parametrize("settings", [{"every": 0}, {"every": np.inf}, {"good_frames": 0}, {"age_groups": [40, 20]}])
def test_senseless_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match=r"--(every|age_groups)"):
        VisitorCount([GENDER], **{"age_groups": AGE_BOUNDS, "good_frames": 5, "every": 60.0} | settings)


def played(*visits: tuple[float, float, Prediction | None], every: float = 10.0, end: float = 30.0) -> list:
    """Return the events of people who come, stay and leave, at ten frames a second."""
    count = VisitorCount([GENDER, AGE], age_groups=AGE_BOUNDS, good_frames=5, every=every)
    count.begin(live=False)
    events = []
    for i in range(round(10 * end)):
        events += count.advance(i / 10)
        count.frame(Frame(FRAME, i / 10, 2 * i + 2))
        present = [n for n, (start, stop, _) in enumerate(visits) if start <= i / 10 < stop]
        for n in present:
            visitor = count.seen(n, None if visits[n][2] else "small")
            if (answer := visits[n][2]) is not None:
                visitor.add(answer, 1.0)
        events += count.changed(present)
    return [*events, *count.changed(()), *count.finish()]


def windows(events: list) -> list[dict]:
    return [dict(event.visitors) for event in events if isinstance(event, WindowEvent)]


def test_everybody_is_counted_once_in_the_window_in_which_they_came() -> None:
    ann, bob = ("female", "20-34"), ("male", "50-64")
    events = played((8, 25, said()), (12, 13, said(0.1, 60)), (9.8, 12, said(0.1, 60)), end=30)
    # The third came in time for the first window, and was seen well enough in the second.
    assert windows(events) == [{ann: 1}, {bob: 2}, {}, {ann: 1, bob: 2}]
    assert [(e.kind, e.visitor, e.time) for e in events if isinstance(e, VisitorEvent)] == [
        ("arrived", 0, "00:00:08.4"),
        ("arrived", 2, "00:00:10.2"),
        ("left", 2, "00:00:11.9"),
        ("arrived", 1, "00:00:12.4"),
        ("left", 1, "00:00:12.9"),
        ("left", 0, "00:00:24.9"),
    ]
    json.dumps([event.to_dict() for event in events])


def test_who_was_never_seen_well_is_counted_as_unknown_with_the_reason_and_a_flicker_is_nobody() -> None:
    events = played((1, 3, None), (4, 4.3, None), (5, 5.4, said()))
    assert windows(events)[0] == {(UNKNOWN, UNKNOWN): 1}
    assert events[0].not_judged == Counter(small=1)


def test_a_window_tells_the_frames_that_came_and_were_judged_and_how_long_anybody_watched() -> None:
    events = played(end=15)
    assert [(e.watched, e.came, e.judged) for e in events] == [
        (pytest.approx(9.9), 200, 100),
        (pytest.approx(5.0), 100, 50),
        (pytest.approx(14.9), 300, 150),
    ]


def window(groups: dict[tuple[str, ...], int], start: int = 0) -> WindowEvent:
    return WindowEvent("window", f"{start}:00", f"{start + 1}:00", ("gender", "age"), Counter(groups), watched=60.0)


def test_the_table_has_a_row_for_each_group_and_one_for_nobody_and_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "day" / "visitors.csv"
    for start in (0, 1):
        table = WindowTable(path, ("gender", "age"))
        assert table.add(window({("male", "20-34"): 2, ("female", "65+"): 1} if start else {}, start)) is None
    assert list(csv.reader(path.open())) == [
        ["from", "to", "watched", "gender", "age", "visitors"],
        ["0:00", "1:00", "60", "", "", "0"],
        ["1:00", "2:00", "60", "female", "65+", "1"],
        ["1:00", "2:00", "60", "male", "20-34", "2"],
    ]


def test_a_table_with_other_columns_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "visitors.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="has the columns a,b, not from,to"):
        WindowTable(path, ("gender", "age"))
    assert path.read_text() == "a,b\n1,2\n"


def test_a_place_where_no_table_can_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        WindowTable(tmp_path, ("gender",))


def test_rows_wait_while_the_disk_is_full_and_none_is_written_in_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "visitors.csv"
    table = WindowTable(path, ("gender", "age"))
    table.add(window({}))
    before = path.read_text()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(watch_output.os, "fsync", full)
        assert "No space left on device; the count goes on" in str(table.add(window({}, 1)))
        assert table.add(window({}, 2)) is None
        assert path.read_text() == before
        assert "1:00,2:00,60,,,0\n2:00,3:00,60,,,0\n" in str(table.lost())
    assert "are written" in str(table.add(window({}, 3)))
    assert table.lost() is None
    assert len(path.read_text().splitlines()) == 5


def test_faces_are_covered_where_they_are_and_where_one_is_expected() -> None:
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    seen = SeenFace(Square(60, 100, 40), 0, None, "turned")
    picture = drawn(FrameEvent(image, 0.0, [seen], [Square(290, 100, 40)]), blur=True)
    for x in (60, 290):
        patch = picture[95:105, x - 8 : x + 8]
        assert len(np.unique(patch.reshape(-1, 3), axis=0)) <= 9
    assert (picture[:, 120:240] == image[:, 120:240]).all()
