"""All faces of an index as a table for people: where each went and why, and whose duplicates say something else."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from smart_retail.data.index import FaceIndex
from smart_retail.data.splits import contradictions
from smart_retail.files import write_aside


def face_list(index: FaceIndex) -> pd.DataFrame:
    """Return a row for every face and every broken file: those whose labels contradict first, duplicates side by side.

    Returns:
        ``path``, ``dataset``, ``split``, ``left_out`` (why, if it is), ``group`` (number of the near-duplicates that it
        belongs to) and ``group_size``, ``contradicts`` (tasks of which a duplicate has another label), and a column
        for each task: the name of a class, or years; ``<task>_low`` and ``<task>_high`` of known ranges.
    """
    faces = index.faces
    marks = contradictions(faces, index.tasks)
    table = pd.DataFrame(
        {
            "path": faces["path"].map(str),
            "dataset": faces["dataset"],
            "split": faces["split"],
            "left_out": faces["excluded"],
            "group": faces["cluster"],
            "group_size": faces.groupby("cluster")["key"].transform("size"),
            "contradicts": [" ".join(marks.columns[row]) for row in marks.to_numpy()],
        }
    )
    for task in index.tasks:
        labels = faces[task.name]
        table[task.name] = labels.map(dict(enumerate(task.classes))) if task.is_classes else labels
        ranges = faces[list(task.range_columns)] if not task.is_classes else pd.DataFrame()
        table = table.join(ranges if ranges.notna().to_numpy().any() else ranges[[]])
    table = table.assign(agrees=table["contradicts"] == "", kept=table["left_out"] == "")
    table = table.sort_values(["agrees", "kept", "group"], kind="stable").drop(columns=["agrees", "kept"])
    broken = pd.DataFrame([{"path": str(path), "left_out": reason} for path, reason in index.broken])
    return pd.concat([broken, table.astype({"group": "Int64", "group_size": "Int64"})])[list(table)]


def write_face_list(index: FaceIndex, path: Path) -> None:
    """Write the list as CSV."""
    with write_aside(path) as aside:
        face_list(index).to_csv(aside, index=False)
