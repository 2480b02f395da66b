"""Face listings without files, for what works on tables alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from smart_retail.data.sources.base import CLASS, COLUMNS, label_columns
from smart_retail.tasks import TASKS


def face_table(
    clusters: Sequence[int],
    *,
    official: Sequence[str] | str = "",
    dataset: Sequence[str] | str = "a",
    keys: Sequence[str] | None = None,
    **labels: Sequence[float | None],
) -> pd.DataFrame:
    """Return a listing with one row for each cluster number."""
    count = len(clusters)
    faces = pd.DataFrame(index=range(count))
    columns = COLUMNS | label_columns(TASKS)
    for column, dtype in columns.items():
        faces[column] = pd.Series([{"str": "", CLASS: pd.NA}.get(dtype, np.nan)] * count).astype(dtype)
    faces["dataset"], faces["official"] = dataset, official
    faces["key"] = list(keys) if keys is not None else [f"{name}/{i:05d}" for i, name in enumerate(faces["dataset"])]
    faces["path"] = faces["picture"] = faces["key"]
    faces["cluster"] = faces["exact"] = np.asarray(clusters)
    for name, values in labels.items():
        faces[name] = pd.Series(list(values), dtype=columns[name])
    return faces
