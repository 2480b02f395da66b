"""Running networks over the faces of a split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from smart_retail.contract import Contract
from smart_retail.data.crops import head_poses
from smart_retail.data.face_crops import FaceCrops
from smart_retail.data.index import FaceIndex
from smart_retail.edge.calibration import softmax
from smart_retail.edge.manifest import DISTRIBUTION
from smart_retail.errors import DataError
from smart_retail.evaluation.predictions import ABOUT, columns, label_columns, output_columns
from smart_retail.tasks import AGE_MAX, AGE_MIN, Task

BATCH = 128


@dataclass(frozen=True)
class Judge:
    """A network, by its name in tables and figures, with its provenance.

    ``run`` takes (N, S, S, 3) uint8 RGB crops, cut by the contract, and returns (N, K), a column for each of
    ``output_columns``. ``bundle`` has sizes, parity and latency from a bundle's manifest.
    """

    name: str
    contract: Contract
    run: Callable[[np.ndarray], np.ndarray]
    made_by: dict[str, Any] = field(default_factory=dict)
    bundle: dict[str, Any] | None = None
    path: str = ""


def select(index: FaceIndex, split: str, limit: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Return the faces of a split, at most ``limit`` drawn by the seed, with their pose and duplicates in training.

    Raises:
        DataError: there is none.
    """
    faces = index.part(split)
    if faces.empty:
        raise DataError(f"no face in the {split} part of {', '.join(index.datasets)}")
    if limit is not None and limit < len(faces):
        faces = faces.sample(limit, random_state=seed).sort_index()
    everyone, cluster = index.faces, faces["cluster"]
    trained = cluster.isin(everyone.loc[everyone["split"] == "train", "cluster"])
    aside = cluster.isin(everyone.loc[everyone["excluded"] != "", "cluster"])
    duplicate = np.where(trained, "in training", np.where(aside, "set aside", ""))
    return faces.assign(duplicate=duplicate, pose=head_poses(faces)).reset_index(drop=True)


def about_faces(faces: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return the columns of a table of predictions that are known of faces before any prediction."""
    labels = [name for name in label_columns(tasks) if name in faces]
    return faces[[*ABOUT, *labels]].astype({"key": str} | dict.fromkeys(labels, "float64")).reset_index(drop=True)


def predict(judges: Sequence[Judge], faces: pd.DataFrame, what: str = "") -> list[pd.DataFrame]:
    """Run networks over faces of ``select``; those with one contract see each crop together.

    Args:
        judges: the networks.
        faces: to run them on.
        what: beside the progress bar; the networks' names without it.

    Returns:
        A table for each network with the columns of ``predictions.columns``, a row for each readable face.

    Raises:
        DataError: no face can be read.
    """
    tables: dict[int, pd.DataFrame] = {}
    for contract in dict.fromkeys(judge.contract for judge in judges):
        ours = {number: judge for number, judge in enumerate(judges) if judge.contract == contract}
        rows: list[np.ndarray] = []
        outputs: dict[int, list[np.ndarray]] = {number: [] for number in ours}
        names = what or ", ".join(judge.name for judge in ours.values())
        with tqdm(total=len(faces), desc=names, unit="face", leave=False, disable=None) as bar:
            for numbers, crops in FaceCrops(faces, contract).batches(BATCH):
                rows.append(numbers)
                for number, judge in ours.items():
                    outputs[number].append(judge.run(crops))
                bar.update(len(numbers))
        if not rows:
            raise DataError("no face can be read; is the data folder still there?")
        about = about_faces(faces.iloc[np.concatenate(rows)], contract.tasks)
        tables |= {n: predictions_of(judge, about, np.concatenate(outputs[n])) for n, judge in ours.items()}
    return [tables[number] for number in range(len(judges))]


def predictions_of(judge: Judge, about: pd.DataFrame, outputs: np.ndarray) -> pd.DataFrame:
    """Return a table of predictions from (N, K) outputs and what ``about_faces`` returned."""
    tasks = judge.contract.tasks
    table = about.copy()
    table[output_columns(tasks)] = outputs.astype(np.float64)
    table.attrs = {"model": judge.name, "tasks": [task.to_dict() for task in tasks]}
    table.attrs |= {"bundle": judge.bundle} if judge.bundle else {}
    return table.reindex(columns=columns(tasks))


def as_columns(outputs: Mapping[str, np.ndarray], tasks: Sequence[Task], *, logits: bool = False) -> np.ndarray:
    """Return a network's outputs as (N, K), a column for each of ``output_columns``.

    Args:
        outputs: by name, as ONNX Runtime gives them: (N, classes), (N, 1) years, (N, 101) distributions.
        tasks: of the network.
        logits: classes are logits, not probabilities.
    """
    parts = []
    for task in tasks:
        values, years = outputs[task.name], outputs.get(task.name + DISTRIBUTION)
        if task.is_classes:
            parts.append(softmax(values) if logits else values)
        else:
            deviation = np.full((len(values), 1), np.nan) if years is None else spread(years)
            parts += [values.clip(AGE_MIN, AGE_MAX), deviation]
    return np.hstack(parts)


def spread(ages: np.ndarray) -> np.ndarray:
    """Return the (N, 1) deviation in years of (N, 101) probabilities of the years."""
    years = np.arange(ages.shape[1])
    variance = ages @ years**2 - (ages @ years) ** 2
    return np.asarray(np.sqrt(np.maximum(variance, 0))[:, None])
