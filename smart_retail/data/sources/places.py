"""Where faces lie in their pictures: what a table's boxes and landmarks say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from smart_retail.contract import Contract
from smart_retail.data.crops import CROP, LANDMARKS, face_squares
from smart_retail.data.image_header import image_format, image_size
from smart_retail.data.sources.place_columns import FORMS, Places, key_of
from smart_retail.data.sources.problems import Problems, joined, read_cells, read_numbers
from smart_retail.data.sources.vocabulary import is_empty

PAIR = re.compile(r"['\"]?([A-Za-z_]\w*)['\"]?\s*[:=]\s*([-+]?\d+(?:\.\d+)?)")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
MAX_COORDINATE_PX = 1e6
"""Coordinates beyond this are no pixels of any image."""
LOOKED_AT = 200
"""Pictures whose size is looked at to tell what a column of boxes holds."""
Cells = Mapping[str, np.ndarray]
"""(N,) text by column."""


def read_places(
    places: Places, cells: Cells, paths: Sequence[str], problems: Problems, notes: list[str]
) -> dict[str, np.ndarray]:
    """Return the landmarks of N rows, and the square of those that have a box alone; NaN for files that are crops.

    Args:
        places: which columns tell.
        cells: text by column.
        paths: of the pictures, "" where there is none.
        problems: takes what is no place of a face.
        notes: takes how a column was read, where its name does not tell.
    """
    points, box = np.full((len(paths), 6), np.nan), np.full((len(paths), 3), np.nan)
    if places.points:
        points = _read_points(places.points, cells, problems)
    if places.box:
        without = np.isnan(points).any(axis=1)
        corners = read_boxes(places, {n: np.where(without, cells[n], "") for n in places.box}, paths, problems, notes)
        start, end = corners[:, :2], corners[:, 2:]
        box = np.column_stack([(start + end) / 2, (end - start).max(axis=1)])
    return dict(zip((*LANDMARKS, *CROP), np.column_stack([points, box]).T, strict=True))


def read_boxes(places: Places, cells: Cells, paths: Sequence[str], problems: Problems, notes: list[str]) -> np.ndarray:
    """Return (N, 4) left, top, right and bottom of boxes in pixels, NaN where there is none; see ``read_places``."""
    title, told = ", ".join(places.box), joined(cells, places.box)
    numbers, form = _box_numbers(places, cells, problems)
    known = ~np.isnan(numbers).any(axis=1)
    shares = known & (np.abs(numbers) <= 1).all(axis=1) & (numbers != 0).any(axis=1)
    problems.add(title, "are shares of the picture's sides; they must be pixels", told, shares)
    known &= ~shares
    if form == "" and known.any():
        form = _form_of(numbers[known], [paths[int(row)] for row in np.flatnonzero(known)])
        if form == "":
            why = f"may be x y w h or x y x y; say which in columns: {{{title}: bbox_xywh}}, or bbox_xyxy"
            problems.add(title, why, told, known & (np.cumsum(known) == 1))
            return numbers
        notes.append(f"{title} is read as {' '.join(form)}")
    start, end = numbers[:, :2], numbers[:, 2:]
    with np.errstate(all="ignore"):
        if form == "xyxy":
            corners, size = numbers, end - start
            must = "right must be more than left and bottom more than top (a width and a height have other names)"
        else:
            size = np.repeat(end, 2, axis=1)[:, :2] if form == "square" else end
            start = start if form in ("xywh", "") else start - size / 2
            corners, must = np.hstack([start, start + size]), "width and height must be more than 0"
    empty = known & ~(size > 0).all(axis=1)
    problems.add(title, f"are no box: {must}", told, empty)
    squares = np.column_stack([start + size / 2, size.max(axis=1)])
    problems.add(title, "do not make a square in the image", told, _odd(squares, known & ~empty))
    return corners


def _read_points(points: Mapping[str, tuple[str, ...]], cells: Cells, problems: Problems) -> np.ndarray:
    """Return (N, 6) landmarks; of two corners of a mouth the middle."""
    single = [name for names in points.values() if len(names) == 2 for name in names]
    numbers = dict(zip(single, _pixels(single, cells, problems).T, strict=True)) if single else {}
    at = {
        point: np.column_stack([numbers[n] for n in names])
        if len(names) == 2
        else _several(names[0], cells[names[0]], ("x", "y"), problems)
        for point, names in points.items()
    }
    mouth = at["mouth"] if "mouth" in at else (at["mouth_left"] + at["mouth_right"]) / 2
    found = np.hstack([at["left_eye"], at["right_eye"], mouth])
    found[np.isnan(found).any(axis=1)] = np.nan
    names = [name for columns in points.values() for name in columns]
    told, title = joined(cells, names), ", ".join(names)
    same = (found[:, :2] == found[:, 2:4]).all(axis=1)
    problems.add(title, "have both eyes at one place", told, same)
    frame = pd.DataFrame(found, columns=list(LANDMARKS)).assign(**dict.fromkeys(CROP, np.nan))
    with np.errstate(all="ignore"):
        squares = face_squares(frame, Contract())[:, :3]
    problems.add(title, "do not make a square in the image", told, _odd(squares, ~np.isnan(found[:, 0])) & ~same)
    return found


def _odd(squares: np.ndarray, known: np.ndarray) -> np.ndarray:
    # Not a number fails the comparison too.
    return np.asarray(known & ~((np.abs(squares) < MAX_COORDINATE_PX).all(axis=1) & (squares[:, 2] >= 1)))


def _pixels(names: Sequence[str], cells: Cells, problems: Problems) -> np.ndarray:
    """Return (N, names) numbers; a row of which some are missing or none is wrong, and NaN altogether."""
    numbers, wrong = read_numbers(names, cells, "must be numbers (pixels), as 1024 or 10.5", problems)
    none = np.isnan(numbers)
    lost = none.any(axis=1) & ~none.all(axis=1) & ~wrong
    problems.add(", ".join(names), "are incomplete", joined(cells, names), lost)
    numbers[none.any(axis=1)] = np.nan
    return numbers


def _several(name: str, cells: np.ndarray, keys: Sequence[str], problems: Problems, named: bool = False) -> np.ndarray:
    """Return (N, keys) numbers of a column whose cells hold several, maybe with their names."""

    def read(cell: str) -> list[float]:
        pairs = {key_of(key): float(number) for key, number in PAIR.findall(cell)}
        by_name = named or bool(pairs)
        found = [pairs.get(key, np.nan) for key in keys] if by_name else [float(n) for n in NUMBER.findall(cell)]
        if is_empty(cell):
            return [np.nan] * len(keys)
        if len(found) != len(keys) or (by_name and set(pairs) != set(keys)):
            raise ValueError(f"must hold {', '.join(keys) if by_name else f'{len(keys)} numbers'}")
        return found

    found = read_cells(cells, read, name, problems)
    return np.array([[np.nan] * len(keys) if row is None else row for row in found]).reshape(-1, len(keys))


def _box_numbers(places: Places, cells: Cells, problems: Problems) -> tuple[np.ndarray, str]:
    """Return the (N, 3 or 4) numbers of boxes, and their form."""
    if len(places.box) > 1:
        return _pixels(places.box, cells, problems), places.form
    name, text = places.box[0], cells[places.box[0]]
    pairs = [PAIR.findall(cell) for cell in pd.unique(text)[:LOOKED_AT]]
    keys = next(({key_of(key) for key, _ in found} for found in pairs if len(found) == 4), set())
    names = next((names for names in FORMS if set(names) == keys), ())
    numbers = _several(name, text, names or tuple("xywh"), problems, named=bool(names))
    return numbers, FORMS[names] if names else places.form


def _form_of(numbers: np.ndarray, paths: Sequence[str]) -> str:
    """Return whether four numbers are x, y, width, height or two corners; "" where both may be."""
    if (numbers[:, 2:] <= numbers[:, :2]).any():
        return "xywh"
    for box, path in zip(numbers[:LOOKED_AT], paths, strict=False):
        try:
            data = Path(path).read_bytes()
            size = image_size(data, image_format(data) or "")
        except (OSError, ValueError, KeyError):
            continue
        if size and (box[:2] + box[2:] > np.array(size) + 1).any():
            return "xyxy"
    return ""
