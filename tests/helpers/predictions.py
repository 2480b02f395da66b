"""Tables of predictions without a network."""

import numpy as np
import pandas as pd

from smart_retail.evaluation.predictions import COLUMNS, EMOTION_COLUMNS, GENDER_COLUMNS
from smart_retail.labels import OTHER_LABELS


def predictions(count: int = 200, seed: int = 0, *, right: float = 0.8) -> pd.DataFrame:
    """Return faces of one data set that have every label; ages are said three years too old.

    Args:
        count: faces, each a cluster of its own.
        seed: of labels and answers.
        right: share of genders and emotions that are said rightly.
    """
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(1)
    table = pd.DataFrame(0.0, index=range(count), columns=COLUMNS)
    table["key"], table["dataset"], table["cluster"] = [f"{i}.jpg" for i in range(count)], "a", np.arange(count)
    table["race"], table["twin"], table["pose"] = "White", "", ""
    table[list(OTHER_LABELS)] = np.nan
    table["age"] = labels.integers(1, 90, count).astype(float)
    table["age_said"], table["age_std"] = table["age"] + 3, 2.0
    for task, columns in (("gender", GENDER_COLUMNS), ("emotion", EMOTION_COLUMNS)):
        classes = len(columns)
        truth = labels.integers(0, classes, count)
        said = np.where(rng.random(count) < right, truth, (truth + 1) % classes)
        table[task] = truth.astype(float)
        table[columns] = np.where(said[:, None] == np.arange(classes), 0.7, 0.3 / (classes - 1))
    table.attrs = {"model": "ours", "split": "val", "data_fingerprint": "f"}
    return table
