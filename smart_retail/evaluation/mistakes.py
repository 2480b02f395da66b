"""The worst mistakes: which files to look at first, and on request how these faces look."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import cv2
import pandas as pd

from smart_retail.contract import Contract
from smart_retail.data.crops import cut_face, face_squares
from smart_retail.data.images import read_image
from smart_retail.errors import BrokenImageError
from smart_retail.evaluation.metrics import Question, answered
from smart_retail.evaluation.predictions import probability_columns
from smart_retail.tasks import Task

COUNT = 10
SIDE = 96
"""Pixels of a thumbnail."""


def mistakes(faces: pd.DataFrame, task: Task, count: int = COUNT) -> pd.DataFrame:
    """Return the faces with the largest error in years, or the surest wrong class: key, label, predicted."""
    known = answered(faces, Question(task, task.name))
    if not task.is_classes:
        said = known[f"{task.name}_pred"]
        farthest = (said - known[task.name]).abs().nlargest(count).index
        words = [column[farthest].map("{:.0f}".format) for column in (known[task.name], said)]
        return pd.DataFrame({"key": known.loc[farthest, "key"], "label": words[0], "predicted": words[1]})
    sure = known[probability_columns(task)].set_axis(range(len(task.classes)), axis=1)
    wrong = sure[sure.idxmax(axis=1) != known[task.name]]
    worst = wrong.max(axis=1).nlargest(count)
    classes = wrong.loc[worst.index].idxmax(axis=1)
    return pd.DataFrame(
        {
            "key": known.loc[worst.index, "key"],
            "label": [task.classes[int(number)] for number in known.loc[worst.index, task.name]],
            "predicted": [f"{task.classes[c]} ({share:.0%} sure)" for c, share in zip(classes, worst, strict=True)],
        }
    )


def thumbnails(faces: pd.DataFrame, keys: list[str], contract: Contract) -> Mapping[str, str]:
    """Return small pictures of some faces as data URIs, by key; unreadable files are left out.

    Args:
        faces: see ``judging.select``.
        keys: of the faces.
        contract: how they are cut.
    """
    found = {}
    wanted = faces[faces["key"].astype(str).isin(keys)]
    for square, (_, face) in zip(face_squares(wanted, contract), wanted.iterrows(), strict=True):
        try:
            image = read_image(face["path"])
        except BrokenImageError:
            continue
        crop = cut_face(image, square, SIDE)
        code = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        found[str(face["key"])] = f"data:image/jpeg;base64,{base64.b64encode(code.tobytes()).decode()}"
    return found
