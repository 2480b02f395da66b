"""FairFace (Karkkainen and Joo 2021, arXiv:1908.04913): 98,000 faces of seven groups, ages as ranges, CC BY 4.0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.data.crops import CROP, LANDMARKS, square_from_landmarks
from smart_retail.data.image_header import image_size
from smart_retail.data.images import read_image_bytes
from smart_retail.data.sources.base import FRAMING, Listing, Source, find_root, make_listing
from smart_retail.data.sources.columns import find_columns
from smart_retail.data.sources.label_cells import read_labels
from smart_retail.data.sources.places import read_places
from smart_retail.data.sources.problems import Problems
from smart_retail.data.sources.table_file import as_text, read_table
from smart_retail.errors import BrokenImageError, ConfigError, DataError
from smart_retail.tasks import AGE, GENDER, TASKS, Task

PAGE = "https://github.com/joojs/fairface"
TERMS = "FairFace: CC BY 4.0, commercial use allowed; name the authors (Karkkainen and Joo 2021)"
COLUMNS = {"file", "age", "gender", "race"}
FOLDERS = {0.25: "fairface-img-margin025-trainval", 1.25: "fairface-img-margin125-trainval"}
"""What the authors' two archives are called."""
CLOSE_SIDE = 224
"""Pixels of the close crops; the photos with more around the face are larger."""
EYES, MOUTH = np.array([[0.227, 0.221], [0.753, 0.221]]), np.array([0.49, 0.80])
"""Where dlib's ``get_face_chip`` puts the eyes, and the mouth of its mean face, in sides of a chip without padding."""


@dataclass
class FairFace(Source):
    """The authors' release: ``fairface_label_{train,val}.csv`` and the images below ``train`` and ``val``.

    Of its two forms ``padding`` 0.25 is the close crop (224 px, 0.6 GB) and 1.25 the face with much around it
    (2 GB). Both were aligned by dlib, so a face lies at the same place in all: eyes 0.35 or 0.15 of a side apart. The
    square of 0.34 is then 1.03 times the close crop or 0.44 of the other, and this is where faces are cut without
    ``landmarks``. Heads that turn differ most from that: ``smart-retail detect`` finds the landmarks of each face.

    Gender, age (a range of years) and race (for reports) are read, ``service_test`` is not. Their validation part
    becomes the test, as they made no other.

    Args:
        root: folder of the two lists, with ``train`` and ``val`` or the authors' folder that holds them; None for
            ``$SMART_RETAIL_DATA/fairface``.
        padding: of the images, 0.25 or 1.25.
        landmarks: tables that ``smart-retail detect`` wrote for these images; a face in none of them is cut
            as without, and counted.
    """

    root: str | None = None
    padding: float = 0.25
    landmarks: list[str] | None = None
    name = "fairface"

    def __post_init__(self) -> None:
        """Check the padding."""
        if self.padding not in FOLDERS:
            raise ConfigError(f"FairFace padding {self.padding} is none of {', '.join(map(str, FOLDERS))}")

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces. See ``Source.load``."""
        root = find_root(self.root, PAGE, "fairface")
        images = next((f for f in (root, root / FOLDERS[self.padding]) if (f / "train").is_dir()), None)
        if images is None or not (images / "val").is_dir():
            raise DataError(f"{root} is not FairFace: folders `train` and `val` are missing; get them from {PAGE}")
        known = _read_landmarks(self.landmarks or [])
        rows: list[dict[str, Any]] = []
        skipped, seen, lost = Counter[str](), set[str](), list[str]()
        for split in ("train", "val"):
            part = _read_part(root / f"fairface_label_{split}.csv", images, split, skipped, seen, lost)
            square = _usual_square([row["path"] for row in part], self.padding)
            for row in part:
                place = known.get(Path(row["path"]).resolve()) if known else None
                skipped["cut at dlib's place, no landmarks"] += bool(known) and place is None
                rows.append(row | (dict(zip(CROP, square, strict=True)) if place is None else place))
        listing = make_listing(self.name, rows, +skipped, TERMS, tasks)
        listing.missing = lost
        return listing


def _read_part(
    file: Path, images: Path, split: str, skipped: Counter[str], seen: set[str], lost: list[str]
) -> list[dict[str, Any]]:
    """Return the rows of one list whose files are there; counts the others, and files that were seen before.

    Raises:
        DataError: the list is missing or has other columns, a label is unknown, or none of the files is there.
    """
    frame = read_table(file)
    if missing := COLUMNS - set(frame.columns):
        raise DataError(f"{file}: no column {', '.join(sorted(missing))}; it is not FairFace's list, see {PAGE}")
    cells = {name: as_text(frame[name]) for name in COLUMNS}
    problems = Problems(file, frame.index.to_numpy())
    labels = read_labels(cells, (GENDER, AGE), problems, skipped, [])
    problems.stop(f"it is not as its authors publish it, see {PAGE}")
    labels["race"], labels["official"] = cells["race"], split
    rows: list[dict[str, Any]] = []
    for name, row in zip(cells["file"], labels.to_dict("records"), strict=True):
        path = str(images / name)
        if not Path(path).is_file():
            skipped["file not found"] += 1
            lost.append(path)
            continue
        if name in seen:
            skipped["listed twice"] += 1
            continue
        seen.add(name)
        rows.append(
            {"path": path, "key": f"{FairFace.name}/{name}"} | {str(column): value for column, value in row.items()}
        )
    if not rows:
        raise DataError(f"{file}: none of its {len(frame)} files is there; they were looked for below {images}")
    return rows


def _usual_square(paths: list[str], padding: float) -> tuple[float, float, float]:
    """Return centre and side of the face's square in pixels, which is the same in all images of one form.

    Raises:
        DataError: the images are of the other form, or none of the first can be read.
    """
    for path in paths[:10]:
        try:
            size = image_size(*read_image_bytes(path))
        except BrokenImageError:
            continue
        if size is None or (size[0] > CLOSE_SIDE) == (padding < 1):
            raise DataError(
                f"{path}: an image of {size[0] if size else '?'} px is not of padding {padding} (up to {CLOSE_SIDE} px "
                "are padding 0.25, more are 1.25); set the source's `padding`"
            )
        left, right, mouth = ((at + padding) / (1 + 2 * padding) * size[0] for at in (*EYES, MOUTH))
        return square_from_landmarks(left, right, mouth, FRAMING)[:3]
    raise DataError(f"{paths[0]}: neither this image nor the next ones can be read")


def _read_landmarks(files: list[str]) -> dict[Path, dict[str, float]]:
    """Return landmarks by the path of an image."""
    known: dict[Path, dict[str, float]] = {}
    for name in files:
        file = Path(name).expanduser()
        frame = read_table(file)
        columns, problems = find_columns(frame, file), Problems(file, frame.index.to_numpy())
        if not columns.places.points:
            lost = ", ".join(sorted(set(LANDMARKS) - set(frame.columns)))
            raise DataError(f"{file}: no column {lost}; `smart-retail detect` writes them")
        places = replace(columns.places, box=())
        paths = as_text(frame[columns.ours["path"]]).tolist()
        points = read_places(places, {name: as_text(frame[name]) for name in places.columns}, paths, problems, [])
        problems.stop("write it anew with `smart-retail detect`")
        for path, row in zip(paths, zip(*(points[name] for name in LANDMARKS), strict=True), strict=True):
            if not np.isnan(row[0]):
                known[(file.parent / path).resolve()] = dict(zip(LANDMARKS, row, strict=True))
    return known
