"""Drawing in unit coordinates: a pen, and colours and numbers to draw with."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Points: TypeAlias = npt.NDArray[np.float64]
Color: TypeAlias = npt.NDArray[np.float64]
Image: TypeAlias = npt.NDArray[np.uint8]

U: Points = np.linspace(-1.0, 1.0, 17)
BUMP: Points = 1.0 - U**2
ARC: Points = np.linspace(0.0, np.pi, 25)
LOOP: Points = np.linspace(0.0, 2.0 * np.pi, 22, endpoint=False)
RUN: Points = np.linspace(0.0, 1.0, 7)
BOW: Points = 1.0 - (2.0 * RUN - 1.0) ** 2


class Pen:
    """Draws shapes given in unit coordinates through one similarity transform."""

    def __init__(self, image: Image, scale: float, angle: float, shift: Points) -> None:
        """Draw on ``image``, turned by ``angle`` radians about the centre, scaled and shifted."""
        self.image, unit = image, image.shape[0] * 16.0  # cv2 takes sixteenths of a pixel
        self.turn = complex(np.cos(angle), np.sin(angle)) * scale * unit
        self.origin = complex(0.5 + shift[0], 0.5 + shift[1]) * unit - (0.5 + 0.5j) * self.turn

    def _fixed(self, x: Points, y: Points) -> npt.NDArray[np.int32]:
        plane = ((x + 1j * y) * self.turn + self.origin).view(np.float64)
        points: npt.NDArray[np.int32] = np.rint(plane).astype(np.int32).reshape(-1, 2)
        return points

    def fill(self, x: Points, y: Points, color: Color) -> None:
        """Fill the polygon whose corners are ``x`` and ``y``."""
        cv2.fillPoly(self.image, [self._fixed(x, y)], tuple(color.tolist()), cv2.LINE_AA, 4)

    def band(self, x: Points, upper: Points, lower: Points, color: Color) -> None:
        """Fill what lies between two lines over the same ``x``."""
        self.fill(np.append(x, x[::-1]), np.append(upper, lower[::-1]), color)

    def line(self, x: Points, y: Points, color: Color, width: float, closed: bool = False) -> None:
        """Stroke a line of ``width`` sides of the frame."""
        pixels = max(1, round(width * self.image.shape[0]))
        points = [self._fixed(x, y)]
        cv2.polylines(self.image, points, closed, tuple(color.tolist()), pixels, cv2.LINE_AA, 4)

    def oval(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        """Fill an ellipse."""
        self.fill(x + rx * np.cos(LOOP), y + ry * np.sin(LOOP), color)


def mix(first: Color, second: Color, share: float) -> Color:
    """Blend two colours; ``share`` is that of the second."""
    return first + (second - first) * share


def ramp(stops: Points, at: float) -> Color:
    """Interpolate the rows of ``stops`` at ``at`` in 0 to 1."""
    place = np.linspace(0.0, 1.0, len(stops))
    return np.array([np.interp(at, place, channel) for channel in stops.T])


def gauss(rng: np.random.Generator, mean: float, std: float, low: float, high: float) -> float:
    """Draw from a normal distribution, clipped to ``low`` and ``high``."""
    return float(min(max(rng.normal(mean, std), low), high))
