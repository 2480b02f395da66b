"""The worst mistakes: which files to look at first, and on request how these faces look."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import cv2
import pandas as pd

from smart_retail.contract import Contract
from smart_retail.data.crops import cut_face, face_squares
from smart_retail.data.images import read_image
from smart_retail.errors import BrokenImageError
from smart_retail.evaluation.metrics import labelled, years_outside
from smart_retail.evaluation.predictions import probability_columns
from smart_retail.tasks import Task

COUNT = 10
THUMBNAIL_PX = 96


def worst_mistakes(faces: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, pd.DataFrame]:
    """Return the largest errors of each task by a title: ``key``, ``label``, ``predicted`` as text.

    Of classes the surest wrong ones; of years the farthest from the label, and the farthest outside a known range.
    """
    found = {}
    for task in tasks:
        title, known = task.name.capitalize(), labelled(faces, task)
        if task.is_classes:
            found[title] = _surest_wrong(known, task)
            continue
        years = f"{task.name}_pred"
        found[title] = _farthest(known, years, (known[years] - known[task.name]).abs(), [task.name])
        ranges = labelled(faces[faces[task.name].isna()], task, task.range_columns[0])
        outside = pd.Series(years_outside(ranges, task), ranges.index)
        found[f"{title}, known as a range"] = _farthest(ranges, years, outside[outside > 0], task.range_columns)
    return {title: rows for title, rows in found.items() if len(rows)}


def _surest_wrong(known: pd.DataFrame, task: Task) -> pd.DataFrame:
    probabilities = known[probability_columns(task)].set_axis(range(len(task.classes)), axis=1)
    wrong = probabilities[probabilities.idxmax(axis=1) != known[task.name]]
    worst = wrong.loc[wrong.max(axis=1).nlargest(COUNT).index]
    label = [task.classes[int(number)] for number in known.loc[worst.index, task.name]]
    predicted = [f"{task.classes[row.argmax()]} ({row.max():.0%} sure)" for row in worst.to_numpy()]
    return known.loc[worst.index, ["key"]].assign(label=label, predicted=predicted)


def _farthest(known: pd.DataFrame, years: str, errors: pd.Series, labels: Sequence[str]) -> pd.DataFrame:
    worst = known.loc[errors.nlargest(COUNT).index]
    label = [" to ".join(f"{end:.0f}" for end in ends) for ends in worst[[*labels]].to_numpy()]
    return worst[["key"]].assign(label=label, predicted=[f"{value:.0f}" for value in worst[years]])


def thumbnails(faces: pd.DataFrame, keys: Sequence[str], contract: Contract) -> Mapping[str, str]:
    """Return small pictures of some of the faces, cut by a contract, as data URIs by key; none of unreadable files."""
    found = {}
    wanted = faces[faces["key"].astype(str).isin(keys)]
    for square, (_, face) in zip(face_squares(wanted, contract), wanted.iterrows(), strict=True):
        try:
            crop = cut_face(read_image(face["path"]), square, THUMBNAIL_PX)
        except BrokenImageError:
            continue
        code = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        found[str(face["key"])] = f"data:image/jpeg;base64,{base64.b64encode(code.tobytes()).decode()}"
    return found
