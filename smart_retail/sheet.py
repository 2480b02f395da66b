"""A contact sheet: faces with their names and labels, where they are cut, and what the network will see of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from smart_retail.data.crops import Square, crop_square, place
from smart_retail.data.dataset import FaceDataset
from smart_retail.data.images import read_image
from smart_retail.data.sampler import Draw
from smart_retail.errors import BrokenImageError, ConfigError, DataError
from smart_retail.files import write_aside
from smart_retail.plots import captions, pixels

COLUMNS = ("the picture", "cut: {size} px", "augmented", "and again")
"""What each column of a face shows."""
FACES_A_ROW = 3
TEXT_PX, HEAD_PX, GAP_PX = 30, 46, 12
DPI = 100
LETTER_PX = 5.3
"""Width of a letter of a caption."""


def contact_sheet(data: FaceDataset, datasets: list[str], *, size: int, rows: int = 8) -> np.ndarray:
    """Draw faces of each data set, three in a row, with their file name and their labels below.

    Of each face there are the picture with the square that is cut, the crop as the network gets it, and two
    augmentations of it, no two alike.

    Args:
        data: training faces with their augmentation.
        datasets: names of the data sets; each gets up to three times ``rows`` faces, spread over its own.
        size: side of a face on the sheet in pixels.
        rows: rows of faces of each data set.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: a face cannot be read.
    """
    numbers = data.datasets.numpy()
    parts = [np.flatnonzero(numbers == number) for number in range(len(datasets))]
    chosen = [p[np.linspace(0, len(p) - 1, min(FACES_A_ROW * rows, len(p)), dtype=int)] for p in parts]
    lines = [-(-len(part) // FACES_A_ROW) for part in chosen]
    wide, high = len(COLUMNS) * size + GAP_PX, size + TEXT_PX
    height = sum(HEAD_PX + high * count for count in lines if count)
    sheet = np.full((height, FACES_A_ROW * wide - GAP_PX, 3), 255, np.uint8)
    figure = Figure(figsize=(sheet.shape[1] / DPI, height / DPI))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    top = 0
    for name, part in zip(datasets, chosen, strict=True):
        if not len(part):
            continue
        _tell(
            axes,
            2,
            top + 12,
            f"{name}: {len(part):,} of {int((numbers == datasets.index(name)).sum()):,} training faces",
            10,
        )
        for at in range(min(FACES_A_ROW, len(part)) * len(COLUMNS)):
            block, column = divmod(at, len(COLUMNS))
            told = COLUMNS[column].format(size=data.image_size)
            _tell(axes, block * wide + column * size + 2, top + HEAD_PX - 10, told, 7, "dimgrey")
        top += HEAD_PX
        words = captions({name: values[part] for name, values in data.labels.items()}, data.tasks)
        for number, (row, labels) in enumerate(zip(part, words, strict=True)):
            x, y = number % FACES_A_ROW * wide, top + number // FACES_A_ROW * high
            for column, tile in enumerate(_tiles(data, int(row), size, seed=2 * (top + number))):
                sheet[y : y + size, x + column * size : x + (column + 1) * size] = tile
            letters = int((wide - GAP_PX) / LETTER_PX)
            _tell(axes, x + 2, y + size + 8, _shortened(data.keys[row].partition("/")[2], letters), 7)
            _tell(axes, x + 2, y + size + 20, _shortened(labels, letters), 7)
        top += -(-len(part) // FACES_A_ROW) * high
    axes.imshow(sheet, extent=(0, sheet.shape[1], height, 0), aspect="auto", interpolation="none")
    return pixels(figure, DPI)


def _tell(axes: Axes, x: float, y: float, text: str, size: int, colour: str = "black") -> None:
    axes.text(x, y, text.replace("$", r"\$"), fontsize=size, color=colour, va="center", family="DejaVu Sans")


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else "..." + text[3 - most :]


def _tiles(data: FaceDataset, row: int, size: int, seed: int) -> list[np.ndarray]:
    """Return what is shown of a face, (size, size, 3) uint8 each."""
    try:
        image = read_image(str(data.paths[row]))
    except BrokenImageError as error:
        raise DataError(f"{data.paths[row]} cannot be read any more ({error})") from error
    square = place(image, data.squares[row])
    crop = crop_square(image, square, data.image_size)
    tiles = [_picture(image, square, size), cv2.resize(crop, (size, size), interpolation=cv2.INTER_NEAREST)]
    for number in range(len(COLUMNS) - len(tiles)):
        found = data[Draw(row, data.image_size, seed + number)]
        if found is None:
            raise DataError(f"{data.paths[row]} cannot be read any more")
        tiles.append(cv2.resize(found[0].numpy().transpose(1, 2, 0), (size, size), interpolation=cv2.INTER_NEAREST))
    return tiles


def _picture(image: np.ndarray, square: Square, size: int) -> np.ndarray:
    """Return a whole picture with the square that is cut, on white."""
    scale = size / max(image.shape[:2])
    width, height = (max(1, round(side * scale)) for side in image.shape[1::-1])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    found = np.full((size, size, 3), 255, np.uint8)
    left, top = (size - width) // 2, (size - height) // 2
    found[top : top + height, left : left + width] = small
    box = cv2.boxPoints(((square.x * scale + left, square.y * scale + top), (square.side * scale,) * 2, -square.angle))
    return cv2.polylines(
        found, [np.round(np.clip(box, 0, size - 1)).astype(np.int32)], True, (230, 60, 20), 1, cv2.LINE_AA
    )


def write_contact_sheet(data: FaceDataset, datasets: list[str], path: Path, *, size: int, rows: int = 8) -> None:
    """Write a contact sheet.

    Args:
        data: as for ``contact_sheet``, likewise ``datasets``, ``size`` and ``rows``.
        datasets: names of the data sets.
        path: a PNG or JPEG file; pictures of people, so mind where it goes.
        size: side of a face in pixels.
        rows: rows of faces of each data set.

    Raises:
        ConfigError: OpenCV cannot write such a file.
        DataError: a face cannot be read.
    """
    sheet = cv2.cvtColor(contact_sheet(data, datasets, size=size, rows=rows), cv2.COLOR_RGB2BGR)
    try:
        encoded = cv2.imencode(path.suffix, sheet)[1]
    except cv2.error as error:
        raise ConfigError(f"{path}: give the sheet a name that ends in .png or .jpg") from error
    with write_aside(path) as aside:
        aside.write_bytes(encoded.tobytes())
