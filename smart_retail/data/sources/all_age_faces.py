"""All-Age-Faces (Cheng et al. 2019): mostly Asian faces, 2 to 80 years, with 49 landmarks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smart_retail.data.crops import LANDMARKS as COLUMNS
from smart_retail.data.sources.base import Listing, Source, find_root, make_listing
from smart_retail.errors import DataError
from smart_retail.tasks import GENDERS, TASKS, Task

HANDLE = "eshachakraborty00/all-age-face-dataset/versions/1"
TERMS = "All-Age-Faces: no licence named, treat as research only"
NAME = re.compile(r"(\d{5})A(\d{2})\.jpg", re.IGNORECASE)
LAST_FEMALE = 7380
"""Serial numbers up to this one are female, later ones male (the authors' lists agree)."""
LEFT_EYE, RIGHT_EYE, MOUTH = slice(19, 25), slice(25, 31), slice(31, 49)
LANDMARKS = 49
MAX_COORDINATE_PX = 1e6
"""Coordinates beyond this are no pixels of any image."""
MAX_BYTES = 1 << 16
"""Bytes of a landmark file; 49 lines take about a thousand."""


@dataclass
class AllAgeFaces(Source):
    """Original images with the eyes and the mouth of their landmarks, by which the contract cuts them.

    Args:
        root: folder that holds ``All-Age-Faces Dataset``; None for
            ``$SMART_RETAIL_DATA/all-age-face-dataset``, else a download from Kaggle.
        authors_halves: take the authors' two halves (``image sets``) as the official split, instead
            of a split of our own that leaves more for training.
    """

    root: str | None = None
    authors_halves: bool = False
    name = "all_age_faces"

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces. See ``Source.load``."""
        root = find_root(self.root, HANDLE, "all-age-face-dataset")
        if (root / "All-Age-Faces Dataset").is_dir():
            root = root / "All-Age-Faces Dataset"
        images, points = root / "original images", root / "key points"
        if not images.is_dir() or not points.is_dir():
            raise DataError(f"{root} is not All-Age-Faces: `original images` or `key points` is missing")
        halves = read_halves(root / "image sets") if self.authors_halves else {}
        rows, skipped = [], Counter[str]()
        for path in sorted(images.iterdir()):
            match = NAME.fullmatch(path.name)
            if match is None:
                skipped["malformed file name"] += 1
                continue
            landmarks = read_landmarks(points / f"{path.stem}.txt")
            if landmarks is None:
                skipped["landmarks missing or malformed"] += 1
                continue
            centres = [landmarks[part].mean(0) for part in (LEFT_EYE, RIGHT_EYE, MOUTH)]
            rows.append(
                {
                    "path": str(path),
                    "key": f"{self.name}/{path.name}",
                    "official": halves.get(path.name, ""),
                    "gender": GENDERS[int(match[1]) <= LAST_FEMALE],
                    "age": float(match[2]),
                }
                | dict(zip(COLUMNS, np.concatenate(centres), strict=True))
            )
        return make_listing(self.name, rows, skipped, TERMS, tasks)


def read_landmarks(path: Path) -> np.ndarray | None:
    """Read 49 lines ``x y``; (49, 2) pixels, or None where the file is missing or malformed."""
    try:
        # A pipe would wait for its writer.
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return None
        values = [float(word) for word in path.read_text("ascii").split()]
    except (OSError, ValueError):
        return None
    points = np.array(values)
    # Not a number fails the comparison too.
    if points.size != 2 * LANDMARKS or not (np.abs(points) < MAX_COORDINATE_PX).all():
        return None
    points = points.reshape(LANDMARKS, 2)
    eyes = points[LEFT_EYE].mean(0) - points[RIGHT_EYE].mean(0)
    return points if np.hypot(*eyes) >= 1 else None


def read_halves(folder: Path) -> dict[str, str]:
    """Read the authors' ``train.txt`` and ``val.txt``; file name to "train" or "val".

    Raises:
        DataError: a list is missing.
    """
    halves: dict[str, str] = {}
    for split in ("train", "val"):
        try:
            lines = (folder / f"{split}.txt").read_text("ascii").splitlines()
        except (OSError, UnicodeError) as error:
            raise DataError(f"{folder}: {split}.txt is missing or damaged; set authors_halves to false") from error
        halves |= {line.split()[0]: split for line in lines if line.strip()}
    return halves
