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
from smart_retail.evaluation.judging import Judge, about_faces, answers_table
from smart_retail.evaluation.metrics import answered, classes_said, questions, statistics
from smart_retail.evaluation.predictions import first_output
from smart_retail.tasks import Task

COLUMNS = ["model", "kind", "severity", "amount", "metric", "value", "low", "high", "faces"]
FACES_AT_ONCE = 8


def worsen(image: np.ndarray, square: Square, size: int, kind: str, amount: float, seed: int) -> np.ndarray:
    """Cut a face out of a picture, worse than it is.

    Args:
        image: (H, W, 3) uint8 RGB.
        square: where the face is.
        size: side of the result.
        kind: of ``KINDS``.
        amount: in the kind's words.
        seed: of what is drawn for the face: the side it is shifted to, the place that is covered.

    Returns:
        (size, size, 3) uint8 RGB.
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
    """Measure networks on a random share of faces, as they are and at every severity.

    Args:
        judges: the networks.
        faces: see ``judging.select``.
        count: at most so many, drawn by the seed.
        kinds: of ``KINDS``; all by default.
        seed: of the draw.

    Returns:
        ``COLUMNS``; severity 0 is the face as it is, ``amount`` is in the kind's words.

    Raises:
        ConfigError: there is no such kind.
        DataError: no face can be read.
    """
    kinds = known_kinds(kinds)
    if count < len(faces):
        faces = faces.sample(count, random_state=seed)
    steps = [(k, level, amount) for k in kinds for level, amount in enumerate(KINDS[k].amounts, start=1)]
    steps = [("", 0, float("nan")), *steps]
    said: dict[tuple[int, int], list[np.ndarray]] = {(j, s): [] for j in range(len(judges)) for s in range(len(steps))}
    placed = [face_squares(faces, judge.contract) for judge in judges]
    read: list[int] = []
    with tqdm(total=len(faces) * len(steps), desc="robustness", unit="face") as bar:
        for start in range(0, len(faces), FACES_AT_ONCE):
            pictures = []
            for row in range(start, min(start + FACES_AT_ONCE, len(faces))):
                try:
                    pictures.append((row, read_image(faces["path"].iloc[row])))
                except BrokenImageError:
                    bar.update(len(steps))
            if not pictures:
                continue
            read += [row for row, _ in pictures]
            for number, judge in enumerate(judges):
                size, squares = judge.contract.image_size, placed[number]
                crops = [
                    worsen(p, place(p, squares[r]), size, k, a, r) if k else cut_face(p, squares[r], size)
                    for k, _, a in steps
                    for r, p in pictures
                ]
                answers = judge.say(np.stack(crops)).reshape(len(steps), len(pictures), -1)
                for step, answer in enumerate(answers):
                    said[number, step].append(answer)
            bar.update(len(steps) * len(pictures))
    if not read:
        raise DataError("no face can be read; is the data folder still there?")
    rows = []
    for number, judge in enumerate(judges):
        about = about_faces(faces.iloc[read], judge.contract.tasks)
        tables = [answers_table(about, judge, np.concatenate(said[number, step])) for step in range(len(steps))]
        for level, table in zip(steps, tables, strict=True):
            rows += [(judge.name, *level, *figure) for figure in _figures(table, tables[0], judge.contract.tasks)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _figures(table: pd.DataFrame, clean: pd.DataFrame, tasks: Sequence[Task]) -> Iterator[tuple]:
    """Yield name, value, interval and faces of the leading metrics.

    ``<task>_kept``: of faces without a label, how many keep the class that the network says of them as they are.
    Emotions are learnt from grey faces; what greying changes in coloured ones is the gap between the data sets.
    """
    clusters = table["cluster"].to_numpy()
    for task in tasks:
        for question in (q for q in questions([task]) if q.column not in task.opinions):
            if len(known := answered(table, question)):
                metric, statistic = next(iter(statistics(known, question).items()))
                yield metric, *bootstrap(statistic, known["cluster"].to_numpy())
        unlabelled = (table[task.name].isna() & table[first_output(task)].notna()).to_numpy()
        if task.is_classes and unlabelled.any():
            kept = classes_said(table, task) == classes_said(clean, task)
            yield f"{task.name}_kept", *bootstrap(mean_of(kept[unlabelled]), clusters[unlabelled])
