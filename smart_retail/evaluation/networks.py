"""Networks that can be judged: checkpoints, and bundles as they are shipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from smart_retail.config_files import training_config
from smart_retail.contract import Contract
from smart_retail.data.crops import head_poses
from smart_retail.data.datamodule import normalise
from smart_retail.data.face_crops import FaceCrops
from smart_retail.data.index import FaceIndex
from smart_retail.edge.manifest import PRECISIONS, read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import DataError
from smart_retail.evaluation.predictions import ABOUT, COLUMNS, LABELS, OUTPUTS
from smart_retail.labels import OTHER_LABELS
from smart_retail.models.load import network_of, read_checkpoint
from smart_retail.models.network import FaceNet

BATCH = 128


@dataclass(frozen=True)
class Judge:
    """A network ready to judge.

    Attributes:
        name: in tables and figures.
        contract: how its faces are cut.
        say: (N, S, S, 3) uint8 RGB crops to (N, 10): a column for each of ``OUTPUTS``.
        made_by: what the network tells of its training.
        bundle: what a bundle's manifest tells of sizes, parity and latency; None for a checkpoint.
    """

    name: str
    contract: Contract
    say: Callable[[np.ndarray], np.ndarray]
    made_by: dict[str, Any] = field(default_factory=dict)
    bundle: dict[str, Any] | None = None

    def training(self) -> dict[str, Any]:
        """Return the config of its training, empty if it is not told."""
        return training_config(self.made_by)


def open_checkpoint(path: Path, name: str) -> Judge:
    """Open a checkpoint, a ``model.pth`` or a file of weights.

    Raises:
        CheckpointError: it cannot be read.
    """
    content = read_checkpoint(path)
    network = network_of(content, str(path))
    return Judge(name, network.contract, partial(_say, network), content.get("made_by") or {})


def open_bundle(path: Path, name: str, precision: str | None) -> list[Judge]:
    """Open a bundle as the edge app does, once for each precision that is asked for.

    Args:
        path: its folder.
        name: in tables; the precision is appended.
        precision: ``fp32``, ``int8``, ``both``, or None for what the Predictor takes.

    Raises:
        BundleError: it is incomplete or altered.
        ConfigError: it has no such precision.
    """
    manifest = read_manifest(path)
    default = next((p for p in ("int8", "fp32") if PRECISIONS[p] in manifest.files), None)
    wanted = ("fp32", "int8") if precision == "both" else (precision or default,)
    found = []
    for one in wanted:
        predictor = Predictor.from_bundle(path, precision=one)
        told = {
            "precision": one,
            "variants": manifest.variants,
            "latency": manifest.latency,
            "drop": manifest.metrics.get("val", {}).get("drop", {}),
            "temperatures": predictor.temperatures,
        }
        say = partial(_deployed, predictor)
        found.append(Judge(f"{name} {str(one).upper()}", manifest.contract, say, manifest.made_by, told))
    return found


def _deployed(predictor: Predictor, crops: np.ndarray) -> np.ndarray:
    said = predictor.outputs(crops)
    unknown = np.full((len(crops), 1), np.nan)
    spread = _spread(said["age_distribution"]) if "age_distribution" in said else unknown
    return np.hstack([said["gender"], said["age"].clip(*predictor.contract.age_range), spread, said["emotion"]])


@torch.inference_mode()
def _say(network: FaceNet, crops: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy())
    raw = network.raw(normalise(images, network.contract))
    spread = torch.from_numpy(_spread(network.age.probabilities(raw.age).numpy()))
    parts = (raw.gender.softmax(1), network.decode(raw).age, spread, raw.emotion.softmax(1))
    return np.asarray(torch.cat(parts, 1))


def _spread(ages: np.ndarray) -> np.ndarray:
    """Return the (N, 1) deviation in years of (N, 101) probabilities of the years."""
    years = np.arange(ages.shape[1])
    variance = ages @ years**2 - (ages @ years) ** 2
    return np.asarray(np.sqrt(np.maximum(variance, 0))[:, None])


def select(index: FaceIndex, split: str, limit: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Return the faces of one split with what is known of their twins in training.

    Args:
        index: of all faces.
        split: ``val`` or ``test``.
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
    twin = np.where(trained, "in training", np.where(aside, "set aside", ""))
    return faces.assign(twin=twin, pose=head_poses(faces)).reset_index(drop=True)


def about_faces(faces: pd.DataFrame) -> pd.DataFrame:
    """Return what a table of predictions tells of faces beside the predictions."""
    labels = [*LABELS, *OTHER_LABELS]
    about = faces[[*ABOUT, *labels]]
    return about.astype({"key": str} | dict.fromkeys(labels, "float64")).reset_index(drop=True)


def predict(judge: Judge, faces: pd.DataFrame) -> pd.DataFrame:
    """Run a network over faces.

    Args:
        judge: the network.
        faces: see ``select``.

    Returns:
        A row for each readable face with the columns of ``predictions.COLUMNS``.

    Raises:
        DataError: no face can be read.
    """
    rows, said = [], []
    with tqdm(total=len(faces), desc=judge.name, unit="face") as bar:
        for numbers, crops in FaceCrops(faces, judge.contract).batches(BATCH):
            rows.append(numbers)
            said.append(judge.say(crops))
            bar.update(len(numbers))
    if not rows:
        raise DataError("no face can be read; is the data folder still there?")
    table = about_faces(faces.iloc[np.concatenate(rows)])
    table[OUTPUTS] = np.concatenate(said).astype(np.float64)
    table.attrs = {"model": judge.name} | ({"bundle": judge.bundle} if judge.bundle else {})
    return table[COLUMNS]
