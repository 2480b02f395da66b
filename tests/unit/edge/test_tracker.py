"""Who is who from frame to frame: place, motion and look, under a camera that moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from smart_retail.data.crops import Square
from smart_retail.edge.camera_motion import STILL, CameraMotion, moved
from smart_retail.edge.tracker import Tracker, look
from smart_retail.errors import ConfigError

ADA, BOB = np.eye(2)
STEP = 0.04


def follow(tracker: Tracker, frames: int, start: float = 0.0, *, x: float = 100.0, speed: float = 0.0, **more):
    """Show one face of 40 px that walks, and return the numbers it was given."""
    squares = [Square(x + speed * i * STEP, 100, 40) for i in range(frames)]
    return [tracker.update([square], start + i * STEP, **more)[0] for i, square in enumerate(squares)]


def test_a_walker_keeps_the_number_through_a_gap_and_a_stranger_gets_another() -> None:
    tracker = Tracker(patience=1.0)
    assert set(follow(tracker, 20, speed=150)) == {0}
    for i in range(15):
        assert tracker.update([], 0.8 + i * STEP) == []
    # Where the walk would have led by now; a second face is where it began.
    assert tracker.update([Square(100 + 150 * 1.4, 100, 40), Square(100, 100, 40)], 1.4) == [0, 1]


def test_a_track_ends_with_its_patience() -> None:
    tracker = Tracker(patience=1.0)
    follow(tracker, 10)
    assert follow(tracker, 1, start=1.5) == [1]
    assert list(tracker.tracks) == [1]


def test_two_who_cross_keep_their_numbers_by_their_looks() -> None:
    tracker = Tracker()
    for i in range(50):
        ada, bob = Square(100 + 4 * i, 100, 40), Square(300 - 4 * i, 104, 40)
        if abs(ada.x - bob.x) < 30:
            assert tracker.update([ada], i * STEP, looks=[ADA]) == [0]  # Bob is hidden behind her
        else:
            assert tracker.update([ada, bob], i * STEP, looks=[ADA, BOB]) == [0, 1]


@pytest.mark.parametrize("gap", [0, 20])
def test_whoever_takes_somebodys_place_is_somebody_else(gap: int) -> None:
    tracker = Tracker(patience=1.5)
    assert set(follow(tracker, 10, looks=[ADA])) == {0}
    assert set(follow(tracker, 10, start=(10 + gap) * STEP, looks=[BOB])) == {1}
    assert set(follow(tracker, 10, start=(20 + gap) * STEP, looks=[ADA])) == {0}


def test_a_faint_find_carries_a_track_on_and_starts_none() -> None:
    tracker = Tracker()
    assert follow(tracker, 3, sure=[False]) == [None] * 3
    assert follow(tracker, 5, start=1.0) == [0] * 5
    assert follow(tracker, 50, start=1.2, sure=[False]) == [0] * 50


def test_a_half_hidden_face_that_looks_new_does_not_take_the_place_of_its_track() -> None:
    tracker = Tracker()
    follow(tracker, 10, looks=[ADA])
    assert follow(tracker, 3, start=10 * STEP, looks=[BOB]) == [1] * 3
    assert follow(tracker, 3, start=13 * STEP, looks=[0.8 * ADA + 0.6 * BOB]) == [0] * 3


def test_a_stranger_who_is_a_little_like_a_track_that_is_hidden_does_not_take_its_place() -> None:
    tracker, stranger = Tracker(), Square(112, 100, 40)
    follow(tracker, 10, looks=[ADA])
    assert tracker.update([stranger], 10 * STEP, looks=[np.array([0.6, 0.8])]) == [1]
    assert tracker.update([stranger], 11 * STEP, looks=[np.array([0.68, 0.733])]) == [1]


def test_heads_beside_each_other_stay_apart_without_looks() -> None:
    tracker = Tracker()
    for i in range(20):
        assert tracker.update([Square(100, 100, 40), Square(160, 100, 40)], i * STEP) == [0, 1]


def test_a_pan_and_a_zoom_of_the_camera_move_all_tracks() -> None:
    tracker = Tracker()
    follow(tracker, 10)
    pan = np.array([[1.3, 0, 200.0], [0, 1.3, 0]])
    assert tracker.update([Square(1.3 * 100 + 200, 130, 52)], 10 * STEP, motion=pan) == [0]
    assert tracker.update([Square(100, 100, 40)], 11 * STEP, motion=STILL) == [1]


def test_senseless_patience_is_refused() -> None:
    with pytest.raises(ConfigError, match="patience -1"):
        Tracker(patience=-1)


def wall(seed: int = 0) -> np.ndarray:
    """Return a wall with 500 posters."""
    random = np.random.default_rng(seed)
    image = np.full((480, 640, 3), 128, np.uint8)
    for x, y, side in random.integers((0, 0, 5), (620, 460, 40), (500, 3)):
        image[y : y + side, x : x + side] = random.integers(0, 255, 3)
    return image


@pytest.mark.parametrize("zoom", [1.0, 1.05])
def test_the_cameras_motion_is_found(zoom: float) -> None:
    motion, first = CameraMotion(), wall()
    truth = np.array([[zoom, 0, 12.0], [0, zoom, -7.0]])
    assert (motion.update(first) == STILL).all()
    found = motion.update(cv2.warpAffine(first, truth, (640, 480)))
    place, should = (moved(Square(300, 200, 50), matrix) for matrix in (found, truth))
    assert np.allclose(place, should, atol=1.0)


def test_a_cut_to_another_scene_is_no_motion() -> None:
    motion = CameraMotion()
    motion.update(wall(0))
    assert (motion.update(wall(1)) == STILL).all()
    assert (motion.update(wall(1)[:240]) == STILL).all()  # a camera that changes its size
    assert (motion.update(np.zeros((480, 640, 3), np.uint8)) == STILL).all()


def test_looks_of_one_place_agree_and_of_two_do_not() -> None:
    image = wall()
    here, near, there = (look(image, Square(x, 200, 60)) for x in (200, 201, 420))
    assert here is not None and near is not None and there is not None
    assert (here * here).sum() == pytest.approx(1)
    assert (here * near).sum() > 0.8 > 0.5 > (here * there).sum()


def test_a_face_at_the_edge_has_no_look() -> None:
    assert look(wall(), Square(20, 200, 60)) is None
