"""What is drawn can be read: it fits, nothing lies on a label, and a guess is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smart_retail.data.crops import Square, crop_square
from smart_retail.edge.annotate import COLOUR, MIN_SIDE_PX, Rectangle, annotate, distances, draw, lines, overlaps, place
from smart_retail.edge.detector import Detection
from smart_retail.edge.prediction import Attribute, Face, Prediction
from tests.helpers.pictures import write_image

SURE = Prediction(
    {
        "gender": Attribute("female", {"male": 0.03, "female": 0.97}),
        "age": Attribute(30.0, interval=(25.0, 35.0)),
        "emotion": Attribute("happy", {"happy": 0.806, "sad": 0.194}),
    }
)


@pytest.mark.parametrize("angle", [0, 30, -20])
def test_the_square_is_drawn_turned_as_it_was_cut(angle: float) -> None:
    image, square = np.zeros((400, 400, 3), np.uint8), Square(200, 220, 160, angle)
    annotate(image, [square], [Prediction({})])
    seen = crop_square(image, square._replace(side=200), 200)[..., 1]  # the square is from 20 to 180 in it
    for edge in (20, 180):
        for strip in (seen[edge - 2 : edge + 3, 30:170], seen.T[edge - 2 : edge + 3, 30:170]):
            assert (strip.max(axis=0) > 60).mean() > 0.9  # a line of one pixel, resampled


def test_a_face_of_which_nothing_is_said_has_its_square_alone() -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    annotate(image, [Square(50, 50, 40)], [Prediction({})])
    assert set(map(tuple, image.reshape(-1, 3).tolist())) == {(0, 0, 0), COLOUR}


@pytest.mark.parametrize("size", [8, 64, 2000])
def test_drawing_changes_pictures_of_any_size(size: int) -> None:
    image = np.zeros((size, size, 3), np.uint8)
    annotate(image, [Square(size / 2, size / 2, size / 2)], [SURE])
    assert image.any()


def test_each_task_has_a_line_with_its_probability_or_its_interval() -> None:
    assert lines(SURE) == ["female 97%", "30 (25-35)", "happy 81%"]
    glasses = Attribute("none", {"none": 0.9, "glasses": 0.1})
    assert lines(Prediction(SURE.attributes | {"glasses": glasses}))[3:] == ["none 90%"]
    assert lines(Prediction({"age": Attribute(30.0)})) == ["30"]


def test_a_guess_is_not_told_as_an_answer() -> None:
    unsure = Attribute("female", {"male": 0.4, "female": 0.6})
    blank = Attribute(30.0, interval=(25.0, 35.0), blank=True)
    assert lines(Prediction({"gender": unsure, "age": blank})) == ["gender ?", "age ?"]


def test_letters_that_the_font_lacks_are_written_with_those_it_has() -> None:
    assert lines(Prediction({"hat": Attribute("hüte", {"hüte": 1.0, "кепка": 0.0})})) == ["hute 100%"]
    assert lines(Prediction({"hat": Attribute("帽", {"帽": 1.0, "кепка": 0.0})})) == ["? 100%"]


def test_labels_of_a_crowd_neither_touch_nor_leave_the_picture() -> None:
    faces = [Rectangle(20 + 45 * (i % 5), 20 + 45 * (i // 5), 40, 40) for i in range(20)]
    labels: list[Rectangle] = []
    for face in faces:
        labels.append(place(face, (70, 30), (640, 480), labels, faces))
    assert overlaps(np.array(labels), labels).tolist() == [70 * 30] * 20  # each covers itself alone
    assert (overlaps(np.array(labels), faces) < 0.3 * 70 * 30).all()
    assert all(x >= 0 and x + w <= 640 and y >= 0 and y + h <= 480 for x, y, w, h in labels)


def test_labels_of_people_side_by_side_lie_by_their_faces() -> None:
    faces = [Rectangle(20 + 130 * (i % 4), 10 + 120 * (i // 4), 90, 90) for i in range(12)]
    labels: list[Rectangle] = []
    for face in faces:
        labels.append(
            place(face, (100, 60), (560, 400), labels, [Rectangle(f.x + 15, f.y + 15, 60, 60) for f in faces])
        )
    assert overlaps(np.array(labels), labels).tolist() == [100 * 60] * 12
    assert max(distances(np.array([label]), face)[0] for label, face in zip(labels, faces, strict=True)) <= 20


def test_a_label_is_above_its_face_where_there_is_room() -> None:
    assert place(Rectangle(50, 50, 40, 40), (70, 30), (200, 200), [], []) == (50, 20, 70, 30)


@pytest.mark.parametrize("bgr", [False, True])
def test_a_copy_is_drawn_on_and_small_ones_are_enlarged(bgr: bool, tmp_path: Path) -> None:
    crop = np.full((48, 60, 3), (200, 90, 10), np.uint8)
    before = crop.copy()
    drawn = draw(crop, SURE, bgr=bgr)
    assert (crop == before).all()
    assert drawn.shape == (MIN_SIDE_PX, 400, 3)
    assert drawn[-20, 200].tolist() == [200, 90, 10]
    assert draw(write_image(tmp_path / "face.png", crop), SURE).shape == drawn.shape


def test_a_strip_of_pixels_does_not_become_a_wall() -> None:
    assert draw(np.zeros((1, 1500, 3), np.uint8), SURE).shape == (1, 2000, 3)


def test_a_photo_has_all_its_faces_drawn() -> None:
    photo = np.zeros((400, 600, 3), np.uint8)
    faces = [Face(i, Detection((0, 0, 9, 9)), Square(x, 200, 60), SURE) for i, x in enumerate((100, 500))]
    drawn = draw(photo, faces)
    assert all(drawn[:, half].any() for half in (slice(0, 200), slice(400, 600)))
    assert not draw(photo, []).any()
