"""Tables of predictions without a network."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from smart_retail.evaluation.predictions import columns, probability_columns
from smart_retail.tasks import EMOTION, GENDER, TASKS, Task

P_GENDER, P_EMOTION = probability_columns(GENDER), probability_columns(EMOTION)
"""Columns with the probability of each class."""


def predictions(count: int = 200, seed: int = 0, *, right: float = 0.8, tasks: Sequence[Task] = TASKS) -> pd.DataFrame:
    """Return faces of one data set that have every label; ages are predicted three years too old.

    Args:
        count: faces, each a cluster of its own.
        seed: of labels and answers.
        right: share of classes that are predicted rightly.
        tasks: what the network answers.
    """
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(1)
    table = pd.DataFrame(0.0, index=range(count), columns=columns(tasks))
    table["key"], table["dataset"], table["cluster"] = [f"{i}.jpg" for i in range(count)], "a", np.arange(count)
    table["race"], table["duplicate"], table["pose"] = "White", "", ""
    for task in sorted(tasks, key=lambda task: task.is_classes):
        if not task.is_classes:
            table[list(task.range_columns)] = np.nan
            table[task.name] = labels.integers(1, 90, count).astype(float)
            table[f"{task.name}_pred"], table[f"{task.name}_std"] = table[task.name] + 3, 2.0
            continue
        table[list(task.opinions)] = np.nan
        classes = len(task.classes)
        truth = labels.integers(0, classes, count)
        said = np.where(rng.random(count) < right, truth, (truth + 1) % classes)
        table[task.name] = truth.astype(float)
        table[probability_columns(task)] = np.where(said[:, None] == np.arange(classes), 0.7, 0.3 / (classes - 1))
    told = [task.to_dict() for task in tasks]
    table.attrs = {"model": "ours", "split": "val", "data_fingerprint": "f", "tasks": told}
    return table
