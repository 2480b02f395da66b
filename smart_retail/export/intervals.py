"""How far true years lie from predicted ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from smart_retail.evaluation.metrics import MIN_GROUP_FACES, labelled
from smart_retail.tasks import Task

COVERAGE = 0.8
BANDS = (0, 10, 20, 30, 40, 55, 70)
"""Of predicted years, by their first."""


def years_interval(table: pd.DataFrame, task: Task, coverage: float = COVERAGE) -> dict[str, Any]:
    """Return how far the true years lie from the predicted ones, by band of the predicted years.

    Quantiles of the errors on faces the network was not trained on hold for new ones of the same kind
    (split conformal prediction, Lei et al. 2018, JASA), whatever the head believes of itself.

    Args:
        table: of predictions.
        task: of years.
        coverage: share of faces whose years lie inside.

    Returns:
        ``coverage``, ``faces`` and ``bands``: ``from`` (predicted years), ``below``, ``above``. Empty with few labels.
    """
    known = labelled(table, task)
    if len(known) < MIN_GROUP_FACES:
        return {}
    tail = (1 - coverage) / 2
    years = known[f"{task.name}_pred"].to_numpy()
    truth = known[task.name].to_numpy() - years
    bands = []
    for start, end in zip(BANDS, (*BANDS[1:], np.inf), strict=True):
        inside = (years >= start) & (years < end)
        # A thin band borrows from all faces rather than promise what it cannot know.
        low, high = np.quantile(truth[inside] if inside.sum() >= MIN_GROUP_FACES else truth, [tail, 1 - tail])
        bands.append({"from": start, "below": max(0.0, -float(low)), "above": max(0.0, float(high))})
    return {"coverage": coverage, "faces": len(known), "bands": bands}
