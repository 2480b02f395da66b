"""The crop contract: from landmarks to a square, from a square to a network's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from smart_retail.contract import Contract

if TYPE_CHECKING:  # the edge has no pandas
    import pandas as pd

LONGEST = 32767
"""OpenCV's warp counts pixels of its source in 16 bits."""


LANDMARKS = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y", "mouth_x", "mouth_y")
"""Columns of a face's landmarks in pixels: the centres of the eyes and of the mouth."""
CROP = ("crop_x", "crop_y", "crop_side")
"""Columns of a square in pixels, for faces without landmarks."""
FRONTAL_RATIO = 1.08
"""From the eyes to the mouth, in distances of the eyes: a frontal face has 1.05, and a little room is left so that the
eyes alone decide on it. A head that turns keeps the first and loses the second."""
TURNED_RATIO = 1.35
"""The same ratio from which a head counts as turned."""


class Square(NamedTuple):
    """A square in an image: its centre and its side in pixels, and the degrees by which its face is turned upright.

    The angle counts against the clock, as the picture is turned.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0


def square_from_landmarks(left_eye: np.ndarray, right_eye: np.ndarray, mouth: np.ndarray, contract: Contract) -> Square:
    """Return the square that the contract prescribes for a face.

    The centre lies between the eyes and the mouth, ``contract.eye_weight`` of the way to the eyes. By the rule ``eyes``
    the side is the distance of the eyes divided by ``contract.eye_distance``. By the rule ``upright`` it is the larger
    of that and of the side that the way from the eyes to the mouth would give a frontal face, since eyes move
    together when a head turns; and the square is turned so that the line from the mouth to the eyes stands upright.

    Args:
        left_eye: (2,) x and y of one eye's centre in pixels (which of the two does not matter).
        right_eye: (2,) of the other.
        mouth: (2,) of the mouth's centre.
        contract: the conventions of the network.
    """
    points = np.concatenate([left_eye, right_eye, mouth]).astype(np.float64)
    return Square(*map(float, _squares(points[None], contract)[0]))


def _squares(points: np.ndarray, contract: Contract) -> np.ndarray:
    """Return (N, 4) squares of (N, 6) landmarks."""
    left, right, mouth = points[:, :2], points[:, 2:4], points[:, 4:]
    eyes = (left + right) / 2
    centre = contract.eye_weight * eyes + (1 - contract.eye_weight) * mouth
    side = np.hypot(*(left - right).T) / contract.eye_distance
    angle = np.zeros(len(points))
    if contract.crop == "upright":
        across, up = (eyes - mouth).T
        side = np.maximum(side, np.hypot(across, up) / (contract.eye_distance * FRONTAL_RATIO))
        angle = np.degrees(np.arctan2(across, -up))
    return np.column_stack([centre, side, angle])


def face_squares(faces: pd.DataFrame, contract: Contract) -> np.ndarray:
    """Return where a contract cuts each face of a listing.

    Args:
        faces: N rows with ``LANDMARKS`` and ``CROP``, see ``data.sources.base.COLUMNS``.
        contract: of the network that will judge them.

    Returns:
        (N, 4) float32, a ``Square`` a row: by the landmarks where there are some, else as ``CROP`` says; NaN for a file
        that is a face crop.
    """
    cut = faces[list(CROP)].to_numpy(np.float64)
    squares = np.column_stack([cut, np.zeros(len(faces))])
    points = faces[list(LANDMARKS)].to_numpy(np.float64)
    known = ~np.isnan(points).any(axis=1)
    squares[known] = _squares(points[known], contract)
    return squares.astype(np.float32)


def head_poses(faces: pd.DataFrame) -> np.ndarray:
    """Return (N,) "frontal", "turned" or, without landmarks, "" for the rows of a listing."""
    points = faces[list(LANDMARKS)].to_numpy(np.float64)
    eyes = np.hypot(*(points[:, :2] - points[:, 2:4]).T)
    height = np.hypot(*((points[:, :2] + points[:, 2:4]) / 2 - points[:, 4:]).T)
    unknown = np.isnan(points).any(axis=1)
    return np.where(unknown, "", np.where(height > TURNED_RATIO * eyes, "turned", "frontal"))


def cut_face(image: np.ndarray, square: np.ndarray, size: int) -> np.ndarray:
    """Return the (size, size, 3) crop of a row of ``face_squares``; see ``crop_square``."""
    return crop_square(image, place(image, square), size)


def place(image: np.ndarray, square: np.ndarray) -> Square:
    """Return a row of ``face_squares`` as a square; the whole image where it is NaN."""
    return whole_image(image) if np.isnan(square[2]) else Square(*map(float, square))


def square_from_box(left: float, top: float, right: float, bottom: float) -> Square:
    """Return the square around a box's centre whose side is the box's longer one."""
    return Square((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top))


def whole_image(image: np.ndarray) -> Square:
    """Return the largest centred square of an image that is a face crop already."""
    height, width = image.shape[:2]
    return Square(width / 2, height / 2, min(width, height))


def surroundings(image: np.ndarray, square: Square) -> tuple[np.ndarray, Square]:
    """Return the part of an image that a crop can touch, and the square's place in it.

    Only the surroundings of a small face in a large frame are worth resampling; and a warp takes no
    image that is longer than ``LONGEST``.
    """
    height, width = image.shape[:2]
    reach = 1.5 * square.side
    left, top = (int(min(max(0.0, at - reach), size - 1)) for at, size in ((square.x, width), (square.y, height)))
    right, bottom = (
        int(min(max(start + 1.0, at + reach + 2), size))
        for at, start, size in ((square.x, left, width), (square.y, top, height))
    )
    return image[top:bottom, left:right], square._replace(x=square.x - left, y=square.y - top)


def crop_square(image: np.ndarray, square: Square, size: int, *, angle: float = 0.0, flip: bool = False) -> np.ndarray:
    """Cut a square out of an image, turn it, mirror it and scale it, in one resampling.

    What lies outside the image repeats the edge, as an edge app's detector box at the border of a
    frame would need it too.

    Args:
        image: (H, W, 3) uint8.
        square: where to cut, in pixels of ``image``.
        size: side of the result.
        angle: degrees by which the face is turned, beyond the square's own.
        flip: mirror left and right.

    Returns:
        (size, size, 3) uint8.
    """
    if max(image.shape[:2]) > LONGEST:
        image, square = surroundings(image, square)
    scale = size / square.side
    if scale < 0.5:
        # A warp samples four neighbours only: shrink by area first, or fine detail turns to noise.
        shrink = 1 / int(1 / scale)
        width, height = (max(1, round(n * shrink)) for n in image.shape[1::-1])
        ratio_x, ratio_y = width / image.shape[1], height / image.shape[0]
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        square = Square(square.x * ratio_x, square.y * ratio_y, square.side * ratio_x, square.angle)
        scale = size / square.side
    matrix: np.ndarray = cv2.getRotationMatrix2D((square.x - 0.5, square.y - 0.5), angle + square.angle, scale)
    matrix[:, 2] += (size - 1) / 2 - np.array([square.x - 0.5, square.y - 0.5])
    if flip:
        matrix[0] *= -1
        matrix[0, 2] += size - 1
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
