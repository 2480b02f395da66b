import cv2
import numpy as np
import pandas as pd
import pytest

from smart_retail.contract import Contract
from smart_retail.data.crops import (
    CROP,
    LANDMARKS,
    Square,
    crop_square,
    face_squares,
    head_poses,
    place,
    square_from_box,
    square_from_landmarks,
    whole_image,
)


def numbered(height: int, width: int) -> np.ndarray:
    """An image whose pixels tell their place: red is x, green is y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)


def blob_centre(image: np.ndarray) -> tuple[float, float]:
    """Centre of brightness in continuous coordinates, in which pixel 0 spans 0 to 1."""
    weights = image[..., 0].astype(float)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return float((x * weights).sum() / weights.sum()) + 0.5, float((y * weights).sum() / weights.sum()) + 0.5


def test_the_square_of_landmarks_is_the_contracts():
    # Eyes 34 px apart make a side of 100; 55:45 between the eyes (y 40) and the mouth (y 76) is y 56.2.
    square = square_from_landmarks(np.array([83.0, 40]), np.array([117.0, 40]), np.array([100.0, 76]), Contract())
    assert square == pytest.approx((100, 56.2, 100, 0))


def turned(yaw: float) -> list[np.ndarray]:
    """Return both eyes and the mouth of a head that turns, projected along the axis of the camera, in pixels."""
    # In distances of the eyes; the mouth lies a fifth of it before them.
    points = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 1.05, 0.2]])
    cosine, sine = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    across = points[:, 0] * cosine + points[:, 2] * sine
    return list(200 + 34 * np.column_stack([across, points[:, 1]]))


@pytest.mark.parametrize("yaw", range(-75, 76, 15))
def test_the_square_keeps_its_side_when_a_head_turns(yaw):
    assert square_from_landmarks(*turned(yaw), Contract()).side == pytest.approx(100, rel=0.15)


def test_the_squares_of_the_first_networks_shrink_with_the_distance_of_the_eyes():
    square = square_from_landmarks(*turned(60), Contract(crop="eyes"))
    assert square.side == pytest.approx(50)
    assert square.angle == 0


def test_a_tilted_head_is_cut_upright():
    left, right, mouth = np.array([83.0, 100]), np.array([117.0, 100]), np.array([100.0, 136])
    turn = np.radians(30)  # with the clock, as the picture is seen
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    image = np.zeros((240, 240, 3), np.uint8)
    points = [100 + matrix @ (point - 100) for point in (left, right, mouth)]
    for point in points[:2]:
        cv2.circle(image, tuple(int(v) for v in np.rint(point)), 3, (255, 255, 255), -1)
    square = square_from_landmarks(*points, Contract())
    assert square.angle == pytest.approx(30)
    assert square.side == pytest.approx(100)
    crop = crop_square(image, square, 100)[..., 0] > 128
    left_half, right_half = (np.nonzero(half)[0].mean() for half in (crop[:, :50], crop[:, 50:]))
    assert left_half == pytest.approx(right_half, abs=1.5)


def test_faces_are_cut_by_landmarks_by_squares_or_whole():
    faces = pd.DataFrame(np.nan, index=range(3), columns=[*CROP, *LANDMARKS])
    faces.loc[0, list(LANDMARKS)] = [83.0, 40, 117, 40, 100, 76]
    faces.loc[:1, list(CROP)] = [5.0, 6, 7]
    squares = face_squares(faces, Contract())
    assert squares[0] == pytest.approx([100, 56.2, 100, 0])
    assert squares[1].tolist() == [5, 6, 7, 0]
    assert place(np.zeros((40, 60, 3), np.uint8), squares[2]) == Square(30, 20, 40)


def test_a_head_counts_as_turned_by_its_landmarks():
    faces = pd.DataFrame([np.concatenate(turned(yaw)) for yaw in (0, 60)], columns=LANDMARKS)
    faces.loc[2] = np.nan
    assert head_poses(faces).tolist() == ["frontal", "turned", ""]


def test_which_eye_is_left_does_not_matter():
    a, b, mouth = np.array([10.0, 12]), np.array([30.0, 15]), np.array([21.0, 40])
    assert square_from_landmarks(a, b, mouth, Contract()) == square_from_landmarks(b, a, mouth, Contract())


def test_the_side_uses_the_slanted_distance_of_the_eyes():
    square = square_from_landmarks(np.array([0.0, 0]), np.array([3.0, 4]), np.array([0.0, 6]), Contract())
    assert square.side == pytest.approx(5 / 0.34)


def test_a_box_becomes_the_square_of_its_longer_side():
    assert square_from_box(10, 20, 30, 60) == Square(20, 40, 40)


def test_a_whole_image_is_its_largest_centred_square():
    assert whole_image(np.zeros((40, 60, 3), np.uint8)) == Square(30, 20, 40)


def test_a_crop_at_scale_one_is_a_slice():
    image = numbered(60, 80)
    assert (crop_square(image, Square(40, 30, 20), 20) == image[20:40, 30:50]).all()


def test_the_whole_image_at_its_own_size_stays_as_it_is():
    image = numbered(32, 32)
    assert (crop_square(image, whole_image(image), 32) == image).all()


def test_flip_mirrors_left_and_right():
    image = numbered(60, 80)
    assert (crop_square(image, Square(40, 30, 20), 20, flip=True) == image[20:40, 30:50][:, ::-1]).all()


def test_a_quarter_turn_is_numpys():
    image = numbered(60, 60)
    turned = crop_square(image, Square(30, 30, 20), 20, angle=90)
    assert (turned == np.rot90(image[20:40, 20:40])).all()


@pytest.mark.parametrize(("side", "size"), [(40, 40), (40, 64), (160, 48), (160, 20), (170, 33)])
def test_a_point_lands_where_geometry_says(side, size):
    image = np.zeros((200, 240, 3), np.uint8)
    image[90:102, 130:142] = 255  # centred at 136, 96
    crop = crop_square(image, Square(130, 100, side), size)
    expected = ((136 - 130) / side * size + size / 2, (96 - 100) / side * size + size / 2)
    assert blob_centre(crop) == pytest.approx(expected, abs=0.3)


def test_outside_the_image_the_edge_repeats():
    image = np.full((20, 20, 3), 200, np.uint8)
    assert (crop_square(image, Square(0, 0, 20), 20) == 200).all()


def test_shrinking_averages_instead_of_picking_pixels():
    checkers = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    crop = crop_square(np.repeat(checkers[..., None], 3, axis=2), Square(128, 128, 256), 32)
    assert crop.std() < 20
    assert crop.mean() == pytest.approx(127, abs=5)


def test_a_square_far_outside_and_a_tiny_one_still_give_an_image():
    image = numbered(20, 20)
    assert crop_square(image, Square(500, -300, 30), 16).shape == (16, 16, 3)
    assert crop_square(image, Square(10, 10, 1), 16).shape == (16, 16, 3)
