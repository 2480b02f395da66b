"""UTKFace (Zhang et al. 2017, arXiv:1702.08423): age, gender and race in the file name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from smart_retail.data.sources.base import Listing, Source, find_root, make_listing
from smart_retail.errors import DataError
from smart_retail.tasks import GENDERS, TASKS, Task

HANDLE = "jangedoo/utkface-new/versions/1"
TERMS = "UTKFace: non-commercial research only, no redistribution of images"
RACES = ("White", "Black", "Asian", "Indian", "Others")
# Age, gender and race must be there; the time stamp may be odd, and so may the ending.
NAME = re.compile(r"(\d{1,3})_([01])_([0-4])_\d+\s*(?:\.?j?pg\.chip)?\.(?:jpe?g|pg)", re.IGNORECASE)


@dataclass
class UTKFace(Source):
    """Aligned and cropped faces ``<age>_<gender>_<race>_<timestamp>.jpg.chip.jpg``.

    Kaggle's copy holds the faces up to four times; only the folder ``UTKFace`` at its top is read.
    Names in which a field is missing are skipped and counted; names in which only the time stamp
    or the ending is odd are kept.

    Args:
        root: folder that holds ``UTKFace``; None for ``$SMART_RETAIL_DATA/utkface-new``, else a
            download from Kaggle.
    """

    root: str | None = None
    name = "utkface"

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces. See ``Source.load``."""
        root = find_root(self.root, HANDLE, "utkface-new")
        folder = root if root.name == "UTKFace" else root / "UTKFace"
        if not folder.is_dir():
            raise DataError(f"{root} is not UTKFace: it has no folder `UTKFace` with <age>_<gender>_<race>_*.jpg")
        rows, skipped = [], Counter[str]()
        for path in sorted(folder.iterdir()):
            match = NAME.fullmatch(path.name)
            if match is None:
                skipped["malformed file name"] += 1
                continue
            rows.append(
                {
                    "path": str(path),
                    "key": f"{self.name}/{path.name}",
                    "gender": GENDERS[int(match[2])],
                    "age": float(match[1]),
                    "race": RACES[int(match[3])],
                }
            )
        return make_listing(self.name, rows, skipped, TERMS, tasks)
