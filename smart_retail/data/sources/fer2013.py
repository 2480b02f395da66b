"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): 48x48 grey faces with seven emotions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from smart_retail.data.images import read_image
from smart_retail.data.sources.base import Listing, Source, find_root, make_listing
from smart_retail.errors import BrokenImageError, ConfigError, DataError
from smart_retail.tasks import EMOTION, EMOTIONS, TASKS, Task

HANDLE = "msambare/fer2013/versions/1"
TERMS = "FER2013: collected by web search; terms unclear, treat as research only"
OFFICIAL = {"training": "train", "publictest": "val", "privatetest": "test"}
NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+\.jpg", re.IGNORECASE)
VOTED = {
    "angry": "anger",
    "fear": "fear",
    "happy": "happiness",
    "neutral": "neutral",
    "sad": "sadness",
    "surprise": "surprise",
}
"""Our classes and what FER+ calls them."""
MIN_VOTES = 5
"""Votes for our classes, of ten, from which the crowd's word counts."""
FLAT_TONES = 8
"""Tones between darkest and lightest pixel up to which a picture shows nothing."""
FLAT_BYTES = 1000
"""A 48x48 JPEG of one flat tone is far smaller than one of a face: only these are opened here."""


@dataclass
class FER2013(Source):
    """The Kaggle copy: ``train/<class>/Training_N.jpg``, ``test/<class>/{Public,Private}Test_N.jpg``.

    The official three-way split is recovered from the file names. Disgust is none of our classes
    and is dropped; so are images of one flat tone (mostly black). Both are counted.

    What ten people each said of these pictures (FER+, Barsoum et al. 2016, arXiv:1608.01041) comes with the package. By
    the crowd's labels a picture trains on the shares of its votes for our six classes, if they are five or more, and
    else on its original label; its class is the one that more than half of all people named, or none. What most people
    call no face is dropped and counted. Whatever is trained on, both are there to measure against.

    Args:
        labels: ``original``, FER2013's own; ``crowd``, people's votes; or ``mixed``.
        crowd_share: of the votes in ``mixed`` labels, 0 to 1; the original label has the rest.
        root: folder that holds ``train`` and ``test``; None for ``$SMART_RETAIL_DATA/fer2013``, else
            a download from Kaggle.
    """

    root: str | None = None
    labels: Literal["original", "crowd", "mixed"] = "original"
    crowd_share: float = 0.5
    name = "fer2013"

    def __post_init__(self) -> None:
        """Check the values."""
        if self.labels not in ("original", "crowd", "mixed"):
            raise ConfigError(f"FER2013 labels {self.labels!r} is none of original, crowd, mixed")
        if not 0 <= self.crowd_share <= 1:
            raise ConfigError(f"FER2013 crowd_share {self.crowd_share} is outside 0 to 1")

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """List the faces. See ``Source.load``."""
        root = find_root(self.root, HANDLE, "fer2013")
        if not (root / "train").is_dir():
            raise DataError(f"{root} is not FER2013: it has no folder `train` with a folder for each emotion")
        rows, skipped = [], Counter[str]()
        share = {"original": 0.0, "crowd": 1.0, "mixed": self.crowd_share}[self.labels]
        votes = crowd_votes()
        for folder in sorted(p for half in ("train", "test") for p in (root / half).glob("*/")):
            for path in sorted(folder.iterdir()):
                match = NAME.fullmatch(path.name)
                if folder.name == "disgust":
                    skipped["disgust is not a class"] += 1
                elif folder.name not in EMOTIONS or match is None:
                    skipped["unknown class or file name"] += 1
                elif _is_flat(path):
                    skipped["flat (black) image"] += 1
                elif (labels := _labels(EMOTIONS.index(folder.name), votes.get(path.name), share)) is None:
                    skipped["most people see no face"] += 1
                else:
                    rows.append(
                        {
                            "path": str(path),
                            "key": f"{self.name}/{folder.parent.name}/{folder.name}/{path.name}",
                            "official": OFFICIAL[match[1].lower()],
                        }
                        | labels
                    )
        return make_listing(self.name, rows, skipped, TERMS, tasks)


@cache
def crowd_votes() -> dict[str, tuple[np.ndarray, int, int]]:
    """Return by file name of the Kaggle copy (6,) votes for our classes, all votes, and those for no face at all."""
    with as_file(files("smart_retail.data").joinpath("ferplus", "votes.csv.gz")) as path:
        table = pd.read_csv(path, index_col="file")
    ours = table[[VOTED[name] for name in EMOTIONS]].to_numpy()
    return dict(zip(table.index, zip(ours, table.sum(axis=1), table["not_a_face"], strict=True), strict=True))


def _labels(original: int, votes: tuple[np.ndarray, int, int] | None, share: float) -> dict[str, Any] | None:
    """Return the labels of one picture, None for what most people call no face.

    Args:
        original: FER2013's class.
        votes: see ``crowd_votes``; None for a picture that nobody was asked about.
        share: of the crowd in the label.
    """
    ours, everyone, no_face = votes or (np.zeros(len(EMOTIONS)), 0, 0)
    majority = EMOTIONS[ours.argmax()] if 2 * ours.max() > everyone else None
    labels = {"emotion_original": EMOTIONS[original], "emotion_crowd": majority}
    if share == 0:
        return labels | {"emotion": EMOTIONS[original]}
    if 2 * no_face > everyone:
        return None
    target = np.eye(len(EMOTIONS))[original]
    if ours.sum() >= MIN_VOTES:
        target = share * ours / ours.sum() + (1 - share) * target
    return labels | {"emotion": majority} | dict(zip(EMOTION.vote_columns, target, strict=True))


def _is_flat(path: Path) -> bool:
    """Whether every pixel has one tone; a broken file is left for the scan to count."""
    try:
        if path.stat().st_size >= FLAT_BYTES:
            return False
        image = read_image(path)
    except (BrokenImageError, OSError):
        return False
    return int(image.max()) - int(image.min()) <= FLAT_TONES
