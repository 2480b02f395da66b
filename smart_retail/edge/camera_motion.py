"""How a camera itself moved between two frames: pans, tilts, zooms and shakes, which move every face at once."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from smart_retail.data.crops import Square

WIDTH_PX = 320
"""Frames are shrunk to this width: motion is found to a tenth of such a pixel, and in about 2 ms."""
MAX_CORNERS = 150
MIN_CORNERS = 12
MIN_SHARE = 0.4
"""Of the corners must move together. Less is a crowd that fills the picture, or a cut to another scene."""
TOLERANCE_PX = 1.5
STILL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


class CameraMotion:
    """Estimates shift, turn and zoom from frame to frame by corners of the background (Lucas-Kanade, then RANSAC)."""

    def __init__(self) -> None:
        """Start without a frame."""
        self.former: np.ndarray | None = None
        self.corners: np.ndarray | None = None

    def update(self, image: np.ndarray, faces: Sequence[Square] = ()) -> np.ndarray:
        """Take up a frame.

        Args:
            image: (H, W, 3) uint8.
            faces: of this frame; people move by themselves and are left out where the next frame is compared with it.

        Returns:
            (2, 3) matrix from pixels of the former frame to those of this one; ``STILL`` where nothing is found.
        """
        scale = WIDTH_PX / image.shape[1]
        size = WIDTH_PX, max(1, round(image.shape[0] * scale))
        grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        former, corners, self.former = self.former, self.corners, grey
        background = np.full(grey.shape, 255, np.uint8)
        for face in faces:
            # Head and shoulders.
            middle, side = (round(face.x * scale), round((face.y + face.side / 2) * scale)), face.side * scale
            cv2.ellipse(background, (middle, (round(2 * side), round(3 * side)), 0), 0, -1)  # type: ignore[call-overload]
        self.corners = cv2.goodFeaturesToTrack(grey, MAX_CORNERS, 0.01, 6, mask=background)
        if former is None or former.shape != grey.shape or corners is None or len(corners) < MIN_CORNERS:
            return STILL
        moved, found, _ = cv2.calcOpticalFlowPyrLK(former, grey, corners, corners.copy(), winSize=(15, 15), maxLevel=3)
        kept = found.ravel() == 1
        if kept.sum() < MIN_CORNERS:
            return STILL
        matrix, agree = cv2.estimateAffinePartial2D(corners[kept], moved[kept], ransacReprojThreshold=TOLERANCE_PX)
        if matrix is None or agree.sum() < max(MIN_CORNERS, MIN_SHARE * len(corners)):
            return STILL
        matrix[:, 2] /= scale
        return np.asarray(matrix, np.float64)


def moved(square: Square, matrix: np.ndarray) -> Square:
    """Return where a square lies after the camera's motion."""
    x, y = matrix @ (square.x, square.y, 1.0)
    return square._replace(x=float(x), y=float(y), side=square.side * float(np.hypot(*matrix[:, 0])))
