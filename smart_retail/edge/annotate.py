"""Predictions drawn on the picture they belong to."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from smart_retail.data.crops import Square, whole_image
from smart_retail.edge.inputs import to_rgb
from smart_retail.edge.prediction import Face, Prediction

COLOUR, GROUND = (60, 230, 60), (24, 24, 24)
"""Of lines and text, and of what is behind the text; the same in RGB and BGR."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
MIN_SIDE_PX = 320
"""Text does not fit on smaller pictures: their copies are enlarged, but not beyond ``MAX_SIDE_PX``."""
MAX_SIDE_PX = 2000
MARGIN_PX = 3


class Rectangle(NamedTuple):
    """Left, top, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int

    def overlap(self, other: Rectangle) -> int:
        """Return the pixels that both cover."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(0, across) * max(0, down)

    def nearest(self, other: Rectangle) -> tuple[int, int]:
        """Return the point of this one that is nearest to the centre of another."""
        x, y = other.x + other.width // 2, other.y + other.height // 2
        return max(self.x, min(x, self.x + self.width)), max(self.y, min(y, self.y + self.height))


def draw(image: Any, answers: Sequence[Face] | Prediction, *, bgr: bool = False) -> np.ndarray:
    """Return a copy of a picture with what was found drawn on it.

    Args:
        image: path, encoded bytes, array or PIL image.
        answers: ``Predictor.predict_image``'s faces of it, or the prediction of a face crop.
        bgr: an array is in OpenCV's channel order, and so is the copy.

    Returns:
        (H, W, 3) uint8, RGB unless ``bgr``; pictures below ``MIN_SIDE_PX`` are enlarged.
    """
    copy = to_rgb(image, bgr=bgr).copy()
    if isinstance(answers, Prediction):
        squares, predictions = [whole_image(copy)], [answers]
    else:
        squares, predictions = [face.square for face in answers], [face.prediction for face in answers]
    scale = max(1.0, min(MIN_SIDE_PX / min(copy.shape[:2]), MAX_SIDE_PX / max(copy.shape[:2])))
    if scale > 1:
        copy = cv2.resize(copy, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        squares = [Square(scale * s.x, scale * s.y, scale * s.side, s.angle) for s in squares]
    annotate(copy, squares, predictions)
    return np.ascontiguousarray(copy[:, :, ::-1]) if bgr else copy


def annotate(image: np.ndarray, squares: Sequence[Square], predictions: Sequence[Prediction]) -> None:
    """Draw all faces of a frame, in place: their squares, turned as they were cut, and a label beside each.

    Args:
        image: (H, W, 3) uint8, RGB or BGR.
        squares: of the faces, in pixels.
        predictions: of the same faces.
    """
    corners = [outline(square) for square in squares]
    line = max(1, round(min(image.shape[:2]) / 450))
    for points in corners:
        cv2.polylines(image, [points], isClosed=True, color=COLOUR, thickness=line)
    faces = [Rectangle(*cv2.boundingRect(points)) for points in corners]
    placed: list[Rectangle] = []
    for face, prediction in zip(faces, predictions, strict=True):
        texts = lines(prediction)
        size = _font_size(image, texts)
        label = place(face, _extent(texts, size), (image.shape[1], image.shape[0]), placed, faces)
        placed.append(label)
        start, end = label.nearest(face), face.nearest(label)
        if max(abs(start[0] - end[0]), abs(start[1] - end[1])) > 2:  # a label that lies apart
            cv2.line(image, start, end, COLOUR, line, cv2.LINE_AA)
        _write(image, texts, label, size)


def outline(square: Square) -> np.ndarray:
    """Return the (4, 2) int32 corners of a square."""
    # Both count the angle from the picture's side: what is turned upright by it stands turned the other way.
    corners = cv2.boxPoints(((square.x, square.y), (square.side, square.side), square.angle))
    return np.asarray(corners.round().astype(np.int32))


def lines(prediction: Prediction) -> list[str]:
    """Return a line for each task: a class with its probability, or years with their interval.

    An answer that is no better than a guess is none: its task and a question mark stand there.
    """
    found = []
    for task, answer in prediction.attributes.items():
        text = _plain(answer.value) if isinstance(answer.value, str) else f"{answer.value:.0f}"
        if answer.is_guess:
            text = f"{task} ?"
        elif answer.probability is not None:
            text += f" {100 * answer.probability:.0f}%"
        elif answer.interval:
            text += " ({:.0f}-{:.0f})".format(*answer.interval)
        found.append(text)
    return found


def _plain(text: str) -> str:
    """Return a name in the letters that OpenCV's fonts have."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode() or "?"


def place(
    face: Rectangle,
    extent: tuple[int, int],
    picture: tuple[int, int],
    labels: Iterable[Rectangle],
    faces: Iterable[Rectangle],
) -> Rectangle:
    """Return where a label goes: near its face, within the picture, off other labels and, where it can be, off faces.

    Args:
        face: that it belongs to.
        extent: width and height of the label.
        picture: width and height.
        labels: that are there already.
        faces: all of the picture.
    """
    (width, height), (x, y) = extent, (face.x, face.y)
    right, below = x + face.width, y + face.height
    near = [(x, y - height), (x, below), (right, y), (x - width, y), (x, y), (x, below - height)]
    # Where there is a crowd, any place on a grid is tried, by its distance.
    grid = [
        (left, top)
        for top in range(0, max(1, picture[1] - height), max(1, height // 2))
        for left in range(0, max(1, picture[0] - width), max(1, width // 2))
    ]
    grid.sort(key=lambda at: abs(at[0] - x) + abs(at[1] - y))
    best, least = Rectangle(0, 0, width, height), float("inf")
    for left, top in [*near, *grid]:
        at = Rectangle(max(0, min(left, picture[0] - width)), max(0, min(top, picture[1] - height)), width, height)
        # A label on a label cannot be read; a label on a face only hides it.
        cost = 1000 * sum(map(at.overlap, labels)) + sum(map(at.overlap, faces))
        if cost < least:
            best, least = at, cost
        if not least:
            break
    return best


def _font_size(image: np.ndarray, texts: Sequence[str]) -> float:
    """Return a size that reads on a thumbnail and on a 4K frame alike, less where the label would not fit."""
    height, width = image.shape[:2]
    size = max(0.4, min(height, width) / 900)
    extent = _extent(texts, size)
    return float(size * min(1.0, width / extent[0], height / extent[1]))


def _extent(texts: Sequence[str], size: float) -> tuple[int, int]:
    """Return width and height of a label."""
    width = max((cv2.getTextSize(text, FONT, size, _thickness(size))[0][0] for text in texts), default=0)
    return width + 2 * MARGIN_PX, _line_height(size) * len(texts) + 2 * MARGIN_PX


def _line_height(size: float) -> int:
    (_, height), below = cv2.getTextSize("Ag", FONT, size, _thickness(size))
    return height + below


def _thickness(size: float) -> int:
    return max(1, round(1.8 * size))


def _write(image: np.ndarray, texts: Sequence[str], label: Rectangle, size: float) -> None:
    cv2.rectangle(image, (label.x, label.y), (label.x + label.width - 1, label.y + label.height - 1), GROUND, -1)
    height = _line_height(size)
    _, below = cv2.getTextSize("Ag", FONT, size, _thickness(size))
    for row, text in enumerate(texts, start=1):
        at = (label.x + MARGIN_PX, label.y + MARGIN_PX + row * height - below)
        cv2.putText(image, text, at, FONT, size, COLOUR, _thickness(size), cv2.LINE_AA)
