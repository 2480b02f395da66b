"""Synthetic faces: drawings of ours with known labels, for the demo, the tests and the notebooks.

They need no network and hold no person. A network trained on them knows nothing of real faces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from smart_retail.data.processes import progress
from smart_retail.data.sources.base import Listing, Source, make_listing
from smart_retail.data.sources.drawing import FaceSpec, draw_face, wears_glasses
from smart_retail.errors import ConfigError
from smart_retail.files import cache_folder, permit, place_aside
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
        paths = [folder / f"{i:06d}.png" for i in range(self.count)]
        specs = self._specs()
        if not folder.is_dir():
            with place_aside(folder, is_folder=True) as aside:
                for i, spec in enumerate(progress(specs, len(specs), "drawing synthetic faces", "face")):
                    face = cv2.cvtColor(draw_face(spec, self._rng(i), SIDE), cv2.COLOR_RGB2BGR)
                    # imwrite says nothing of a full disk.
                    (aside / paths[i].name).write_bytes(cv2.imencode(".png", face)[1].tobytes())
                permit(aside)
                try:
                    aside.rename(folder)
                except OSError:
                    if not folder.is_dir():  # else another process drew the same faces meanwhile
                        raise
        rows: list[dict[str, Any]] = [{"path": str(p), "key": f"{self.name}/{self.seed}/{p.name}"} for p in paths]
        for i, (row, spec) in enumerate(zip(rows, specs, strict=True)):
            if self.every_label or i % 2 == 0:
                row["emotion"] = EMOTIONS[spec.emotion]
            if self.every_label or i % 2 == 1:
                row |= {"gender": GENDERS[spec.gender], "age": spec.age}
            if any(task.name == "glasses" for task in tasks):
                row["glasses"] = GLASSES[wears_glasses(spec, self._rng(i))]
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
