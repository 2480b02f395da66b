"""Networks that can be judged: checkpoints, and bundles as they are shipped."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from smart_retail.data.datamodule import normalise
from smart_retail.edge.manifest import PRECISIONS, read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.evaluation.judging import Judge, as_columns, spread
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.load import network_of
from smart_retail.models.network import FaceNet
from smart_retail.runs import training_folders


def open_checkpoint(path: Path, name: str) -> Judge:
    """Open a checkpoint, a ``model.pth`` or a file of weights.

    Raises:
        CheckpointError: it cannot be read.
    """
    content = read_checkpoint(path)
    network = network_of(content, str(path))
    made_by = content.get("made_by") or {}
    return Judge(name, network.contract, partial(_say, network), made_by, places=training_folders(path))


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
        say = partial(_of_bundle, predictor)
        found.append(Judge(f"{name} {str(one).upper()}", manifest.contract, say, manifest.made_by, told))
    return found


def _of_bundle(predictor: Predictor, crops: np.ndarray) -> np.ndarray:
    return as_columns(predictor.outputs(crops), predictor.contract.tasks)


@torch.inference_mode()
def _say(network: FaceNet, crops: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy())
    raw = network.raw(normalise(images, network.contract))
    parts = []
    for task in network.contract.tasks:
        head, output = network.head(task.name), raw.heads[task.name]
        said = head.probabilities(output)
        parts += [said.numpy()] if task.is_classes else [head.decode(output).numpy(), spread(said.numpy())]
    return np.hstack(parts)
