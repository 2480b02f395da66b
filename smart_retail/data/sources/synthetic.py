"""Synthetic faces: drawings of ours with known labels, for the demo, the tests and the notebooks.

They need no network and hold no person. A network trained on them knows nothing of real faces.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from smart_retail.data.cache import cache_folder
from smart_retail.data.processes import progress
from smart_retail.data.sources.base import Listing, Source, make_listing
from smart_retail.data.sources.drawing import FaceSpec, draw_face, wears_glasses
from smart_retail.errors import ConfigError
from smart_retail.tasks import EMOTIONS, GENDERS, TASKS, Task

TERMS = "synthetic: drawn by smart_retail, no real person; free of any terms"
VERSION = 1
"""Of the drawings; a change of the pixels needs a new number, or caches mix old and new."""
SIDE = 96
GLASSES = ("none", "glasses")
"""Classes of a task ``glasses``."""


@dataclass
class SyntheticFaces(Source):
    """Parametric drawings with a gender, an age and an emotion that can really be learnt.

    As in the real sets no face has every label: half of the faces know their emotion, the others
    gender and age. The pictures are drawn once into the cache.

    Some wear glasses; a task of one's own called ``glasses`` gets a label for all of them.

    Args:
        count: number of faces.
        seed: of labels and drawings.
        every_label: give every face all three labels.
    """

    count: int = 6000
    seed: int = 0
    every_label: bool = False
    name = "synthetic"

    def load(self, tasks: Sequence[Task] = TASKS) -> Listing:
        """Draw what is not drawn yet, and list the faces. See ``Source.load``."""
        if self.count < 1:
            raise ConfigError(f"synthetic faces: count {self.count} must be 1 or more")
        folder = cache_folder() / f"synthetic-v{VERSION}-seed{self.seed}-{self.count}"
        specs = self._specs()
        if not folder.is_dir():
            _draw_all(folder, [(spec, self._rng(i)) for i, spec in enumerate(specs)])
        rows = []
        wanted = any(task.name == "glasses" for task in tasks)
        for i, spec in enumerate(specs):
            has_emotion = self.every_label or i % 2 == 0
            has_person = self.every_label or i % 2 == 1
            rows.append(
                {
                    "path": str(folder / f"{i:06d}.png"),
                    "key": f"{self.name}/{self.seed}/{i:06d}.png",
                    "gender": GENDERS[spec.gender] if has_person else None,
                    "age": spec.age if has_person else None,
                    "emotion": EMOTIONS[spec.emotion] if has_emotion else None,
                    "glasses": GLASSES[wears_glasses(spec, self._rng(i))] if wanted else None,
                }
            )
        return make_listing(self.name, rows, Counter(), TERMS, tasks)

    def _rng(self, number: int) -> np.random.Generator:
        """Return what a face is drawn by beside its labels."""
        return np.random.default_rng([self.seed, number, VERSION])

    def _specs(self) -> list[FaceSpec]:
        rng = np.random.default_rng([self.seed, VERSION])
        genders = rng.integers(len(GENDERS), size=self.count)
        ages = rng.uniform(1, 90, size=self.count).round()
        emotions = rng.integers(len(EMOTIONS), size=self.count)
        labels = zip(genders, ages, emotions, strict=True)
        return [FaceSpec(int(g), float(a), int(e)) for g, a, e in labels]


def _draw_all(folder: Path, faces: list[tuple[FaceSpec, np.random.Generator]]) -> None:
    """Draw into a folder aside and rename it, so that a folder that is there is complete."""
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".synthetic-"))
    try:
        for i, (spec, rng) in enumerate(progress(faces, len(faces), "drawing synthetic faces", "face")):
            face = draw_face(spec, rng, SIDE)
            drawn = cv2.imencode(".png", cv2.cvtColor(face, cv2.COLOR_RGB2BGR))[1]
            (aside / f"{i:06d}.png").write_bytes(drawn.tobytes())  # imwrite says nothing of a full disk
        aside.chmod(0o755)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process drew the same faces meanwhile
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
