"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 48x48 grey faces with seven emotions."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from smart_retail.data.images import read_image
from smart_retail.data.sources.base import Listing, Source, find_root, make_listing
from smart_retail.errors import BrokenImageError, DataError
from smart_retail.labels import EMOTIONS

HANDLE = "msambare/fer2013/versions/1"
TERMS = "FER2013: collected by web search; terms unclear, treat as research only"
OFFICIAL = {"training": "train", "publictest": "val", "privatetest": "test"}
NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.jpg", re.IGNORECASE)
FLAT_TONES = 8
"""Tones between darkest and lightest pixel up to which a picture shows nothing."""
FLAT_BYTES = 1000
"""A 48x48 JPEG of one flat tone is far smaller than one of a face: only these are opened here."""


@dataclass
class FER2013(Source):
    """The Kaggle copy: ``train/<class>/Training_N.jpg``, ``test/<class>/{Public,Private}Test_N.jpg``.

    The official three-way split is recovered from the file names. Disgust is none of our classes
    and is dropped; so are images of one flat tone (mostly black). Both are counted.

    Args:
        root: folder that holds ``train`` and ``test``; None for ``$SMART_RETAIL_DATA/fer2013``, else
            a download from Kaggle.
    """

    root: str | None = None
    name = "fer2013"

    def load(self) -> Listing:
        """List the faces. See ``Source.load``."""
        root = find_root(self.root, HANDLE, "fer2013")
        if not (root / "train").is_dir():
            raise DataError(f"{root} is not FER2013: it has no folder `train` with a folder for each emotion")
        rows, skipped = [], Counter[str]()
        for folder in sorted(p for half in ("train", "test") for p in (root / half).glob("*/")):
            for path in sorted(folder.iterdir()):
                match = NAME.fullmatch(path.name)
                if folder.name == "disgust":
                    skipped["disgust is not a class"] += 1
                elif folder.name not in EMOTIONS or match is None:
                    skipped["unknown class or file name"] += 1
                elif _is_flat(path):
                    skipped["flat (black) image"] += 1
                else:
                    rows.append(
                        {
                            "path": str(path),
                            "key": f"{self.name}/{folder.parent.name}/{folder.name}/{path.name}",
                            "official": OFFICIAL[match[1].lower()],
                            "emotion": EMOTIONS.index(folder.name),
                        }
                    )
        return make_listing(self.name, rows, skipped, TERMS)


def _is_flat(path: Path) -> bool:
    """Whether every pixel has one tone; a broken file is left for the scan to count."""
    try:
        if path.stat().st_size >= FLAT_BYTES:
            return False
        image = read_image(path)
    except (BrokenImageError, OSError):
        return False
    return int(image.max()) - int(image.min()) <= FLAT_TONES
