"""Which faces of a video are good enough to be judged; the others are followed, counted and told by their reason.

The thresholds come from 624 photos of FairFace and All-Age-Faces, judged by the network of the package as they are
(gender 91.0% right, ages wrong by 4.4 years) and made worse step by step: `docs/watch.md` has the figures.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.crops import FRONTAL_RATIO, Square
from smart_retail.edge.detector import Detection

MIN_SCORE = 0.8
"""Of the detector. Fainter finds carry a track on through a bad moment."""
MIN_SIDE_PX = 32
"""Of the square. 32 px cost 1.1 points of gender and 0.7 years, 24 px 3.7 points and 1.6 years."""
MAX_BEYOND = 0.2
"""Share of the square's side beyond the frame. 0.2 costs at most 2.4 points and 0.6 years, 0.3 up to 13 and 3.4."""
EDGE_SHARE = 0.02
"""Of the face's side: a box that ends so near to the frame's edge goes on behind it."""
MIN_SHARPNESS = 0.003
"""See ``sharpness``. 95% of faces of 32 px are above it; most that are blurred by a Gaussian of 3% of the side (which
costs 5 points and 2.9 years) or by motion of 15% (9 points, 6.4 years) are below."""
MAX_TURNED = 1.6
"""From the eyes to the mouth, in distances of the eyes. Above it 63% of 41 photos had their gender right, below 1.35
94% of 562."""
SHARPNESS_PX = 64
SECOND_DERIVATIVES = [
    np.array(kernel, np.float32)
    for kernel in (
        [[0, 0, 0], [1, -2, 1], [0, 0, 0]],
        [[0, 1, 0], [0, -2, 0], [0, 1, 0]],
        [[0.5, 0, 0], [0, -1, 0], [0, 0, 0.5]],
        [[0, 0, 0.5], [0, -1, 0], [0.5, 0, 0]],
    )
]


def why_not(face: Detection, square: Square, frame: tuple[int, int]) -> str | None:
    """Return why a face cannot be judged, as far as its place tells; None if it can.

    Args:
        face: as it was found.
        square: where it is cut.
        frame: height and width of the picture in pixels.
    """
    if face.score < MIN_SCORE:
        return "unsure"
    half, (height, width) = square.side / 2, frame
    beyond = max(half - square.x, half - square.y, square.x + half - width, square.y + half - height)
    left, top, right, bottom = face.box
    room = min(left, top, width - right, height - bottom)
    if beyond > MAX_BEYOND * square.side or room < EDGE_SHARE * square.side:
        return "cut off"
    if square.side < MIN_SIDE_PX:
        return "small"
    return "turned" if turned(face) > MAX_TURNED else None


def turned(face: Detection) -> float:
    """Return the way from the eyes to the mouth in distances of the eyes: 1.05 from the front; 0 without landmarks."""
    if face.landmarks is None:
        return 0.0
    (x, y), (other_x, other_y), (mouth_x, mouth_y) = face.landmarks
    apart = max(math.hypot(x - other_x, y - other_y), 1e-6)
    return math.hypot((x + other_x) / 2 - mouth_x, (y + other_y) / 2 - mouth_y) / apart


def sharpness(crop: np.ndarray) -> float:
    """Return the energy of a face's second derivative by that of its tones, in the direction where it has least.

    A blur by motion leaves the edges along it: the weakest of four directions tells.

    Args:
        crop: (S, S, 3) uint8.
    """
    small = cv2.resize(crop, (SHARPNESS_PX, SHARPNESS_PX), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(min(cv2.filter2D(grey, -1, kernel).var() for kernel in SECOND_DERIVATIVES) / max(grey.var(), 1.0))


def weight(face: Detection, square: Square, contract: Contract) -> float:
    """Return how much a face counts in the mean of its track, above 0 and at most 1: sure, large and from the front."""
    frontal = min(1.0, FRONTAL_RATIO / max(turned(face), 1e-6))
    return face.score * min(1.0, square.side / contract.image_size) * frontal
