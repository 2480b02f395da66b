"""Predictions drawn on the picture they belong to."""

from __future__ import annotations

import cv2
import numpy as np

from smart_retail.data.crops import Square
from smart_retail.edge.predictor import Prediction

COLOUR = (40, 200, 120)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(image: np.ndarray, square: Square, prediction: Prediction) -> None:
    """Draw a face's square, turned as it was cut, and above it what was said of it, upright, in place.

    Args:
        image: (H, W, 3) uint8; green is the same in RGB and BGR.
        square: of the face, in pixels.
        prediction: of the face.
    """
    # Both count the angle from the picture's side: what is turned upright by it stands turned the other way.
    corners = cv2.boxPoints(((square.x, square.y), (square.side, square.side), square.angle)).round().astype(np.int32)
    left, top = (int(at) for at in corners.min(axis=0))
    # Text of a thirtieth of the picture reads on a thumbnail and on a 4K frame alike.
    size = max(0.35, min(image.shape[:2]) / 900)
    line = max(1, round(2 * size))
    cv2.polylines(image, [corners], isClosed=True, color=COLOUR, thickness=line)
    texts = lines(prediction)
    height = round(28 * size)
    # Above the face where there is room, else inside it.
    base = top - height * (len(texts) - 1) - 4 if top > height * len(texts) + 4 else max(0, top) + height
    for i, text in enumerate(texts):
        at = (max(0, left), base + i * height)
        cv2.putText(image, text, at, FONT, size, (0, 0, 0), line + 2, cv2.LINE_AA)
        cv2.putText(image, text, at, FONT, size, COLOUR, line, cv2.LINE_AA)


def lines(prediction: Prediction) -> list[str]:
    """Return what was said in few lines: gender and age share the first, every other task has its own."""
    words = {}
    for task, found in prediction.attributes.items():
        words[task] = found.value if isinstance(found.value, str) else f"{found.value:.0f}"
        if found.interval:
            words[task] += " ({:.0f}-{:.0f})".format(*found.interval)
    first = [words.pop(task) for task in ("gender", "age") if task in words]
    return [" ".join(first), *words.values()] if first else list(words.values())
