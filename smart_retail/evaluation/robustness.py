"""The same faces as a camera would have them: in less light, small, turned, covered, and worse in other ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pandas as pd
from tqdm import tqdm

from smart_retail.data.corruptions import KINDS, OFF_CENTRE, known_kinds, shift
from smart_retail.data.crops import Square, crop_square, cut_face, face_squares, place
from smart_retail.data.images import read_image
from smart_retail.errors import BrokenImageError, DataError
from smart_retail.evaluation.intervals import bootstrap, mean_of
from smart_retail.evaluation.judging import Judge, about_faces, predictions_of
from smart_retail.evaluation.metrics import labelled, predicted_classes, statistics, targets
from smart_retail.evaluation.predictions import first_output
from smart_retail.tasks import Task

COLUMNS = ["model", "kind", "severity", "amount", "metric", "value", "low", "high", "faces"]


def worsen(image: np.ndarray, square: Square, size: int, kind: str, amount: float, seed: int) -> np.ndarray:
    """Cut a face out of an (H, W, 3) uint8 RGB picture, worse than it is, as (size, size, 3).

    The amount is in the kind's words, see ``KINDS``; the seed draws the side it is shifted to, the place that is
    covered, and so on.
    """
    random = np.random.default_rng(seed)
    if kind == "small":
        # Of the picture itself: a crop that is made smaller has been resampled twice.
        tiny = crop_square(image, square, int(amount))
        return np.asarray(cv2.resize(tiny, (size, size), interpolation=cv2.INTER_LINEAR))
    if kind == OFF_CENTRE:
        square = shift(square, amount, random)
    crop = crop_square(image, square, size)
    change = KINDS[kind].change
    return change(crop, amount, random) if change else crop


def robustness(
    judges: list[Judge], faces: pd.DataFrame, count: int, kinds: Sequence[str] | None = None, seed: int = 0
) -> pd.DataFrame:
    """Measure networks on at most ``count`` random faces, as they are and at every severity of some kinds (or all).

    Returns:
        ``COLUMNS``; severity 0 is the face as it is, ``amount`` is in the kind's words.

    Raises:
        ConfigError: there is no such kind.
        DataError: no face can be read.
    """
    kinds = known_kinds(kinds)
    if count < len(faces):
        faces = faces.sample(count, random_state=seed)
    steps = [("", 0, float("nan"))]
    steps += [(k, level, amount) for k in kinds for level, amount in enumerate(KINDS[k].amounts, start=1)]
    outputs: list[list[np.ndarray]] = [[] for _ in judges]
    placed = [face_squares(faces, judge.contract) for judge in judges]
    read: list[int] = []
    with tqdm(total=len(faces) * len(steps), desc="robustness", unit="face", disable=None) as bar:
        for row, path in enumerate(faces["path"]):
            bar.update(len(steps))
            try:
                picture = read_image(path)
            except BrokenImageError:
                continue
            read.append(row)
            for judge, squares, found in zip(judges, placed, outputs, strict=True):
                size, square = judge.contract.image_size, place(picture, squares[row])
                worse = [worsen(picture, square, size, k, amount, row) for k, _, amount in steps[1:]]
                found.append(judge.run(np.stack([cut_face(picture, squares[row], size), *worse])))
    if not read:
        raise DataError("no face can be read; is the data folder still there?")
    rows: list[tuple] = []
    for judge, found in zip(judges, outputs, strict=True):
        about = about_faces(faces.iloc[read], judge.contract.tasks)
        tables = [predictions_of(judge, about, values) for values in np.stack(found, axis=1)]
        for step, table in zip(steps, tables, strict=True):
            rows += [(judge.name, *step, *figure) for figure in _figures(table, tables[0], judge.contract.tasks)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _figures(table: pd.DataFrame, clean: pd.DataFrame, tasks: Sequence[Task]) -> Iterator[tuple]:
    """Yield name, value, interval and faces of the leading metrics.

    ``<task>_kept``: of faces without a label, how many keep the class that the network predicts of them as they are.
    Emotions are learnt from grey faces; what greying changes in coloured ones is the gap between the data sets.
    """
    for task in tasks:
        for target in (target for target in targets([task]) if target.column not in task.opinions):
            if len(known := labelled(table, *target)):
                metric, statistic = next(iter(statistics(known, target).items()))
                yield metric, *bootstrap(statistic, known["cluster"].to_numpy())
        unlabelled = (table[task.name].isna() & table[first_output(task)].notna()).to_numpy()
        if task.is_classes and unlabelled.any():
            kept = predicted_classes(table, task) == predicted_classes(clean, task)
            yield f"{task.name}_kept", *bootstrap(mean_of(kept[unlabelled]), table["cluster"].to_numpy()[unlabelled])
