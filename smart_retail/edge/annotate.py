"""Predictions drawn on the picture they belong to."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
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
SHRUNK = (1.0, 0.75, 0.5)
"""Shares of the usual size of text that are tried until all labels find a place of a cost below ``FINE``."""
FINE = 0.5
SQUARE_MARGIN = 0.15
"""Of a square's side, on each side: hair, neck and background."""


class Rectangle(NamedTuple):
    """Left, top, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int

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
    write(image, squares, [lines(prediction) for prediction in predictions], [COLOUR] * len(squares))


def write(
    image: np.ndarray,
    squares: Sequence[Square],
    texts: Sequence[Sequence[str]],
    colours: Sequence[tuple[int, int, int]],
) -> None:
    """Draw squares with some lines of text beside each, in place.

    Args:
        image: (H, W, 3) uint8.
        squares: of faces, in pixels.
        texts: the lines of each.
        colours: of each.
    """
    corners = [outline(square) for square in squares]
    line = max(1, round(min(image.shape[:2]) / 450))
    faces = [Rectangle(*cv2.boundingRect(points)) for points in corners]
    sizes, labels = _layout(image, faces, texts)
    # Lines first: none crosses a text.
    for points, face, label, colour in zip(corners, faces, labels, colours, strict=True):
        cv2.polylines(image, [points], isClosed=True, color=colour, thickness=line)
        if label.height and distances(np.array([label]), face)[0] > 2:
            cv2.line(image, label.nearest(face), face.nearest(label), colour, line, cv2.LINE_AA)
    for text, label, size, colour in zip(texts, labels, sizes, colours, strict=True):
        if text:
            _write(image, text, label, size, colour)


def _layout(
    image: np.ndarray, faces: Sequence[Rectangle], texts: Sequence[Sequence[str]]
) -> tuple[list[float], list[Rectangle]]:
    """Return the size of each text and where it goes; in a crowd texts are smaller, so that they lie by their faces."""
    picture = image.shape[1], image.shape[0]
    inner = [_inner(face) for face in faces]
    tried = []
    for share in SHRUNK:
        sizes = [_font_size(image, text, share) for text in texts]
        labels: list[Rectangle] = []
        for face, text, size in zip(faces, texts, sizes, strict=True):
            labels.append(place(face, _extent(text, size), picture, labels, inner))
        boxes = np.array(labels, np.float64).reshape(-1, 4)
        worst = max((_cost(boxes[[i]], faces[i], labels[:i], inner)[0] for i in range(len(faces))), default=0.0)
        tried.append((worst, sizes, labels))
        if worst < FINE:
            break
    _, sizes, labels = min(tried, key=lambda found: found[0])
    return sizes, labels


def _inner(face: Rectangle) -> Rectangle:
    """Return the part of a square that a label must not hide; hair and neck it may."""
    x, y = round(SQUARE_MARGIN * face.width), round(SQUARE_MARGIN * face.height)
    return Rectangle(face.x + x, face.y + y, face.width - 2 * x, face.height - 2 * y)


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
    labels: Sequence[Rectangle],
    faces: Sequence[Rectangle],
) -> Rectangle:
    """Return where a label goes: by its face, within the picture, off other labels and, where it can be, off faces.

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
    room = max(0, picture[0] - width), max(0, picture[1] - height)
    # Where there is a crowd, any place around the face is tried, then any in the picture.
    around = np.mgrid[x - width : right : max(1, width // 10), y - height : below : max(1, height // 10)]
    anywhere = np.mgrid[0 : room[0] + 1 : max(1, width // 2), 0 : room[1] + 1 : max(1, height // 2)]
    best, least = (0, 0), np.inf
    for tried in (near, around.reshape(2, -1).T, anywhere.reshape(2, -1).T):
        places = np.clip(tried, 0, room)
        costs = _cost(np.hstack([places, np.broadcast_to(extent, places.shape)]), face, labels, faces)
        if costs.min() < least:
            best, least = places[costs.argmin()].tolist(), costs.min()
        if not least:
            break
    return Rectangle(*best, width, height)


def _cost(boxes: np.ndarray, face: Rectangle, labels: Sequence[Rectangle], faces: Sequence[Rectangle]) -> np.ndarray:
    """Return how bad each of (N, 4) places of a label is; 0 is by its face and on nothing else."""
    hidden = overlaps(boxes, faces) / np.maximum(boxes[:, 2:].prod(axis=1), 1)
    # A label on a label cannot be read; one on a face hides it; of one that is far nobody knows whose it is.
    return np.asarray(
        100.0 * (overlaps(boxes, labels) > 0) + 4 * hidden + distances(boxes, face) / np.maximum(boxes[:, 2], 1)
    )


def distances(boxes: np.ndarray, face: Rectangle) -> np.ndarray:
    """Return how many pixels lie between each of (N, 4) rectangles and a face."""
    starts, ends = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    return np.asarray(np.hypot(*np.maximum(0, np.maximum(face[:2] - ends, starts - np.add(face[:2], face[2:]))).T))


def overlaps(boxes: np.ndarray, others: Sequence[Rectangle]) -> np.ndarray:
    """Return for each of (N, 4) rectangles how many pixels of others it covers."""
    other = np.array(others, np.float64).reshape(-1, 4)
    low = np.maximum(boxes[:, None, :2], other[:, :2])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:])[:, None], other[:, :2] + other[:, 2:])
    return np.asarray(np.maximum(high - low, 0).prod(axis=2).sum(axis=1))


def _font_size(image: np.ndarray, texts: Sequence[str], share: float) -> float:
    """Return a share of what reads on a thumbnail and on a 4K frame alike, less where the label would not fit."""
    height, width = image.shape[:2]
    size = max(0.4, share * min(height, width) / 900)
    extent = _extent(texts, size)
    return float(size * min(1.0, width / max(1, extent[0]), height / max(1, extent[1])))


def _extent(texts: Sequence[str], size: float) -> tuple[int, int]:
    """Return width and height of a label; without a text there is none."""
    if not texts:
        return 0, 0
    width = max((cv2.getTextSize(text, FONT, size, _thickness(size))[0][0] for text in texts), default=0)
    return width + 2 * MARGIN_PX, _line_height(size) * len(texts) + 2 * MARGIN_PX


def _line_height(size: float) -> int:
    (_, height), below = cv2.getTextSize("Ag", FONT, size, _thickness(size))
    return height + below


def _thickness(size: float) -> int:
    return max(1, round(1.8 * size))


def _write(
    image: np.ndarray, texts: Sequence[str], label: Rectangle, size: float, colour: tuple[int, int, int]
) -> None:
    cv2.rectangle(image, (label.x, label.y), (label.x + label.width - 1, label.y + label.height - 1), GROUND, -1)
    height = _line_height(size)
    _, below = cv2.getTextSize("Ag", FONT, size, _thickness(size))
    for row, text in enumerate(texts, start=1):
        at = (label.x + MARGIN_PX, label.y + MARGIN_PX + row * height - below)
        cv2.putText(image, text, at, FONT, size, colour, _thickness(size), cv2.LINE_AA)
