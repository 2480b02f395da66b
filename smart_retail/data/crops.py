"""The crop contract: from landmarks to a square, from a square to a network's input."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from smart_retail.contract import Contract

LONGEST = 32767
"""OpenCV's warp counts pixels of its source in 16 bits."""


class Square(NamedTuple):
    """A square in an image, in pixels: its centre and its side."""

    x: float
    y: float
    side: float


def square_from_landmarks(left_eye: np.ndarray, right_eye: np.ndarray, mouth: np.ndarray, contract: Contract) -> Square:
    """Return the square that the contract prescribes for a face.

    The side is the distance between the eye centres divided by ``contract.eye_distance``; the
    centre lies between the eyes and the mouth, ``contract.eye_weight`` of the way to the eyes.

    Args:
        left_eye: (2,) x and y of one eye's centre in pixels (which of the two does not matter).
        right_eye: (2,) of the other.
        mouth: (2,) of the mouth's centre.
        contract: the conventions of the network.
    """
    eyes = (left_eye + right_eye) / 2
    x, y = contract.eye_weight * eyes + (1 - contract.eye_weight) * mouth
    side = float(np.hypot(*(left_eye - right_eye))) / contract.eye_distance
    return Square(float(x), float(y), side)


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
    return image[top:bottom, left:right], Square(square.x - left, square.y - top, square.side)


def crop_square(image: np.ndarray, square: Square, size: int, *, angle: float = 0.0, flip: bool = False) -> np.ndarray:
    """Cut a square out of an image, turn it, mirror it and scale it, in one resampling.

    What lies outside the image repeats the edge, as an edge app's detector box at the border of a
    frame would need it too.

    Args:
        image: (H, W, 3) uint8.
        square: where to cut, in pixels of ``image``.
        size: side of the result.
        angle: degrees by which the face is turned.
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
        square = Square(square.x * ratio_x, square.y * ratio_y, square.side * ratio_x)
        scale = size / square.side
    matrix: np.ndarray = cv2.getRotationMatrix2D((square.x - 0.5, square.y - 0.5), angle, scale)
    matrix[:, 2] += (size - 1) / 2 - np.array([square.x - 0.5, square.y - 0.5])
    if flip:
        matrix[0] *= -1
        matrix[0, 2] += size - 1
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
