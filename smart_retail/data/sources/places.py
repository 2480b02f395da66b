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
from smart_retail.data.sources.problems import Problems, read_cells
from smart_retail.data.sources.vocabulary import is_empty

PAIR = re.compile(r"['\"]?([A-Za-z_]\w*)['\"]?\s*[:=]\s*([-+]?\d+(?:\.\d+)?)")
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
MAX_COORDINATE_PX = 1e6
"""Coordinates beyond this are no pixels of any image."""
LOOKED_AT = 200
"""Pictures whose size is looked at to tell what a column of boxes holds."""


def read_places(
    places: Places, cells: Mapping[str, np.ndarray], paths: Sequence[str], problems: Problems, notes: list[str]
) -> dict[str, np.ndarray]:
    """Return the landmarks of N rows, and the square of those that have a box alone; NaN for files that are crops.

    Args:
        places: which columns tell.
        cells: (N,) text of each column.
        paths: of the pictures, "" where there is none.
        problems: takes what is no place of a face.
        notes: takes how a column was read, where its name does not tell.
    """
    count = len(paths)
    points, box = np.full((count, 6), np.nan), np.full((count, 3), np.nan)
    if places.points:
        points = _read_points(places.points, cells, problems)
    if places.box:
        without = np.isnan(points).any(axis=1)
        corners = read_boxes(places, {n: np.where(without, cells[n], "") for n in places.box}, paths, problems, notes)
        start, end = corners[:, :2], corners[:, 2:]
        box = np.column_stack([(start + end) / 2, (end - start).max(axis=1)])
    return dict(zip((*LANDMARKS, *CROP), np.column_stack([points, box]).T, strict=True))


def read_boxes(
    places: Places, cells: Mapping[str, np.ndarray], paths: Sequence[str], problems: Problems, notes: list[str]
) -> np.ndarray:
    """Return (N, 4) left, top, right and bottom of boxes in pixels, NaN where there is none; see ``read_places``."""
    names, numbers, form = _box_numbers(places, cells, problems)
    told, known = _joined(cells, places.box), ~np.isnan(numbers).any(axis=1)
    if form == "":
        form = _form_of(numbers, paths)
        notes += [f"{names} is read as {' '.join(form)}"] if form else []
    if form == "":
        why = f"may be x y w h or x y x y; say which in columns: {{{names}: bbox_xywh}}, or bbox_xyxy"
        problems.add(names, why, told, known & (np.cumsum(known) == 1))
        return numbers
    start, end = numbers[:, :2], numbers[:, 2:]
    with np.errstate(all="ignore"):
        if form in ("corners", "xyxy"):
            corners, size = numbers, end - start
        else:
            size = np.repeat(end, 2, axis=1)[:, :2] if form == "square" else end
            start = start - size / 2 if form in ("centre", "square") else start
            corners = np.hstack([start, start + size])
    empty = known & ~(size > 0).all(axis=1)
    why = "are no box: width and height must be more than 0"
    if corners is numbers:
        why = (
            "are no box: right must be more than left and bottom more than top (a width and a height have other names)"
        )
    problems.add(names, why, told, empty)
    shares = known & ~empty & (np.abs(numbers) <= 1).all(axis=1)
    problems.add(names, "are shares of the picture's sides; they must be pixels", told, shares)
    squares = np.column_stack([start + size / 2, size.max(axis=1)])
    problems.add(names, "do not make a square in the image", told, _odd(squares, known & ~empty & ~shares))
    return corners


def _joined(cells: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    found = np.empty(len(cells[names[0]]), object)
    found[:] = [", ".join(row) for row in zip(*(cells[name] for name in names), strict=True)]
    return found


def numbers_of(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) numbers, NaN for missing ones, and (N,) bool: which cells are neither."""
    text = pd.Series(cells, dtype=object)
    found = pd.to_numeric(text.where(text != "", None), errors="coerce").to_numpy(np.float64, na_value=np.nan).copy()
    for at in np.flatnonzero(np.isnan(found) & (cells != "")):
        match = NUMBER.fullmatch(cells[at].replace(",", ".", 1))
        found[at] = float(match[0]) if match else np.nan
    empty = np.array([word == "" or (word != "-1" and is_empty(word)) for word in cells[np.isnan(found)]], bool)
    wrong = np.isnan(found)
    wrong[wrong] = ~empty
    return found, wrong


def _columns(names: Sequence[str], cells: Mapping[str, np.ndarray], problems: Problems) -> np.ndarray:
    """Return (N, names) numbers; a row of which some are missing or none is wrong, and NaN altogether."""
    read = [numbers_of(cells[name]) for name in names]
    numbers = np.column_stack([found for found, _ in read])
    wrong = np.asarray(np.column_stack([bad for _, bad in read]).any(axis=1))
    none = np.isnan(numbers)
    told, title = _joined(cells, names), ", ".join(names)
    problems.add(title, "must be numbers (pixels)", told, wrong)
    problems.add(title, "are incomplete", told, none.any(axis=1) & ~none.all(axis=1) & ~wrong)
    numbers[none.any(axis=1)] = np.nan
    return numbers


def _several(name: str, cells: np.ndarray, count: int, problems: Problems) -> np.ndarray:
    """Return (N, count) numbers of a column whose cells hold several."""

    def read(cell: str) -> list[float]:
        found = [float(number) for number in NUMBER.findall(cell)]
        if len(found) == count or (not found and is_empty(cell)):
            return found or [np.nan] * count
        raise ValueError(f"must hold {count} numbers")

    found = read_cells(cells, read, name, problems)
    return np.array([[np.nan] * count if row is None else row for row in found]).reshape(-1, count)


def _read_points(
    points: Mapping[str, tuple[str, ...]], cells: Mapping[str, np.ndarray], problems: Problems
) -> np.ndarray:
    """Return (N, 6) landmarks; of two corners of a mouth the middle."""
    single = [name for names in points.values() if len(names) == 2 for name in names]
    numbers = dict(zip(single, _columns(single, cells, problems).T, strict=True)) if single else {}
    at = {
        point: np.column_stack([numbers[n] for n in names])
        if len(names) == 2
        else _several(names[0], cells[names[0]], 2, problems)
        for point, names in points.items()
    }
    mouth = at["mouth"] if "mouth" in at else (at["mouth_left"] + at["mouth_right"]) / 2
    found = np.hstack([at["left_eye"], at["right_eye"], mouth])
    found[np.isnan(found).any(axis=1)] = np.nan
    names = [name for columns in points.values() for name in columns]
    told, title = _joined(cells, names), ", ".join(names)
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


def _box_numbers(places: Places, cells: Mapping[str, np.ndarray], problems: Problems) -> tuple[str, np.ndarray, str]:
    """Return what a message calls a box, its (N, 3 or 4) numbers, and their form."""
    names = ", ".join(places.box)
    if len(places.box) > 1:
        return names, _columns(places.box, cells, problems), places.form
    text = cells[names]
    named = [PAIR.findall(cell) for cell in pd.unique(text)[:LOOKED_AT]]
    keys = next((tuple(key_of(key) for key, _ in pairs) for pairs in named if len(pairs) == 4), ())
    form = next((names for names in FORMS if set(names) == set(keys)), None)
    if form is None:
        return names, _several(names, text, 4, problems), places.form

    def read(cell: str) -> list[float]:
        pairs = {key_of(key): float(number) for key, number in PAIR.findall(cell)}
        if set(pairs) != set(form) and not is_empty(cell):
            raise ValueError(f"must hold {', '.join(form)}")
        return [pairs.get(key, np.nan) for key in form]

    found = read_cells(text, read, names, problems)
    return names, np.array([[np.nan] * 4 if row is None else row for row in found]).reshape(-1, 4), FORMS[form]


def _form_of(numbers: np.ndarray, paths: Sequence[str]) -> str:
    """Return whether four numbers are x, y, width, height or two corners; "" where both may be."""
    known = np.flatnonzero(~np.isnan(numbers).any(axis=1))
    x, y, a, b = numbers[known].T
    if not len(known) or (a <= x).any() or (b <= y).any():
        return "xywh"
    for row in known[:LOOKED_AT]:
        try:
            data = Path(paths[row]).read_bytes()
            size = image_size(data, image_format(data) or "")
        except (OSError, ValueError, KeyError):
            continue
        if size and (numbers[row, :2] + numbers[row, 2:] > np.array(size) + 1).any():
            return "xyxy"
    return ""
