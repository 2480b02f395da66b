"""Running networks over the faces of a split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from smart_retail.config_files import training_config
from smart_retail.contract import Contract
from smart_retail.data.crops import head_poses
from smart_retail.data.face_crops import FaceCrops
from smart_retail.data.index import FaceIndex
from smart_retail.edge.calibration import softmax
from smart_retail.edge.manifest import DISTRIBUTION
from smart_retail.errors import DataError
from smart_retail.evaluation.predictions import ABOUT, columns, known_columns, output_columns
from smart_retail.tasks import AGE_MAX, AGE_MIN, Task

BATCH = 128


@dataclass(frozen=True)
class Judge:
    """A network ready to judge.

    Attributes:
        name: in tables and figures.
        contract: how its faces are cut, and the tasks that it answers.
        say: (N, S, S, 3) uint8 RGB crops to (N, K): a column for each of ``output_columns``.
        made_by: what the network tells of its training.
        bundle: what a bundle's manifest tells of sizes, parity and latency; None for a checkpoint.
        places: where its training may have run, beside what ``made_by`` tells.
    """

    name: str
    contract: Contract
    say: Callable[[np.ndarray], np.ndarray]
    made_by: dict[str, Any] = field(default_factory=dict)
    bundle: dict[str, Any] | None = None
    places: Sequence[Path] = ()

    def training(self) -> dict[str, Any]:
        """Return the config of its training, empty if it is not told."""
        return training_config(self.made_by, self.places)


def select(index: FaceIndex, split: str, limit: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Return the faces of one split with their pose, and what is known of their duplicates in training.

    Args:
        index: of all faces.
        split: ``train``, ``val`` or ``test``.
        limit: at most so many, drawn by the seed, as a data module draws them.
        seed: of the draw.

    Raises:
        DataError: there is none.
    """
    faces = index.part(split)
    if faces.empty:
        raise DataError(f"no face in the {split} part of {', '.join(index.datasets)}")
    if limit is not None and limit < len(faces):
        faces = faces.sample(limit, random_state=seed).sort_index()
    everyone = index.faces
    trained = faces["cluster"].isin(everyone.loc[everyone["split"] == "train", "cluster"])
    aside = faces["cluster"].isin(everyone.loc[everyone["excluded"] != "", "cluster"])
    duplicate = np.where(trained, "in training", np.where(aside, "set aside", ""))
    return faces.assign(duplicate=duplicate, pose=head_poses(faces)).reset_index(drop=True)


def about_faces(faces: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """Return what a table of predictions tells of faces beside the predictions."""
    labels = [name for name in known_columns(tasks) if name in faces]
    about = faces[[*ABOUT, *labels]]
    return about.astype({"key": str} | dict.fromkeys(labels, "float64")).reset_index(drop=True)


def predict(judges: Sequence[Judge], faces: pd.DataFrame, what: str = "") -> list[pd.DataFrame]:
    """Run networks over faces; those with one contract see each crop together.

    Args:
        judges: the networks.
        faces: see ``select``.
        what: shown beside the progress bar; the networks' names without it.

    Returns:
        A table for each network with the columns of ``predictions.columns``, a row for each readable face.

    Raises:
        DataError: no face can be read.
    """
    tables: dict[int, pd.DataFrame] = {}
    for contract in dict.fromkeys(judge.contract for judge in judges):
        ours = [number for number, judge in enumerate(judges) if judge.contract == contract]
        rows: list[np.ndarray] = []
        said: dict[int, list[np.ndarray]] = {number: [] for number in ours}
        with tqdm(
            total=len(faces), desc=what or ", ".join(judges[n].name for n in ours), unit="face", leave=False
        ) as bar:
            for numbers, crops in FaceCrops(faces, contract).batches(BATCH):
                rows.append(numbers)
                for number in ours:
                    said[number].append(judges[number].say(crops))
                bar.update(len(numbers))
        if not rows:
            raise DataError("no face can be read; is the data folder still there?")
        about = about_faces(faces.iloc[np.concatenate(rows)], contract.tasks)
        for number in ours:
            tables[number] = answers_table(about, judges[number], np.concatenate(said[number]))
    return [tables[number] for number in range(len(judges))]


def answers_table(about: pd.DataFrame, judge: Judge, said: np.ndarray) -> pd.DataFrame:
    """Return a table of predictions of (N, K) answers on the faces that ``about_faces`` tells of."""
    tasks = judge.contract.tasks
    table = about.copy()
    table[output_columns(tasks)] = said.astype(np.float64)
    told = {"model": judge.name, "tasks": [task.to_dict() for task in tasks]}
    table.attrs = told | ({"bundle": judge.bundle} if judge.bundle else {})
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
        values = outputs[task.name]
        if task.is_classes:
            parts.append(softmax(values) if logits else values)
            continue
        years = outputs.get(task.name + DISTRIBUTION)
        parts += [values.clip(AGE_MIN, AGE_MAX), np.full((len(values), 1), np.nan) if years is None else spread(years)]
    return np.hstack(parts)


def spread(ages: np.ndarray) -> np.ndarray:
    """Return the (N, 1) deviation in years of (N, 101) probabilities of the years."""
    years = np.arange(ages.shape[1])
    variance = ages @ years**2 - (ages @ years) ** 2
    return np.asarray(np.sqrt(np.maximum(variance, 0))[:, None])
