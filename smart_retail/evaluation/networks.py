"""Networks that can be judged: checkpoints, and bundles as they are shipped."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from smart_retail.data.datamodule import normalise
from smart_retail.edge.manifest import NAME as MANIFEST
from smart_retail.edge.manifest import PRECISIONS, read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import ConfigError
from smart_retail.evaluation.judging import Judge, as_columns, spread
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.load import network_of
from smart_retail.models.network import FaceNet
from smart_retail.runs import find_checkpoint


def open_networks(path: Path, name: str, precision: str | None) -> list[Judge]:
    """Open a bundle in the precisions that are asked for, or a checkpoint, a run's folder, a file of weights.

    Raises:
        BundleError: it is incomplete or altered.
        CheckpointError: it cannot be read.
        ConfigError: it is neither, or has no such precision.
    """
    if (path / MANIFEST).is_file():
        return open_bundle(path, name, precision)
    if path.is_dir() and not (path / "checkpoints").is_dir():
        raise ConfigError(f"{path} is neither a bundle (it has no {MANIFEST}) nor a run's folder")
    content = read_checkpoint(find_checkpoint(str(path), run="run") if path.is_dir() else path)
    network = network_of(content, str(path))
    return [Judge(name, network.contract, partial(_run, network), content.get("made_by") or {}, path=str(path))]


def open_bundle(path: Path, name: str, precision: str | None) -> list[Judge]:
    """Open a bundle as the edge app does, in ``fp32``, ``int8``, ``both``, or what the Predictor takes (None).

    Raises:
        BundleError: it is incomplete or altered.
        ConfigError: it has no such precision.
    """
    manifest = read_manifest(path)
    default = next((p for p in ("int8", "fp32") if PRECISIONS[p] in manifest.files), None)
    found = []
    for one in ("fp32", "int8") if precision == "both" else (precision or default,):
        predictor = Predictor.from_bundle(path, precision=one)
        bundle = {"precision": one, "variants": manifest.variants, "latency": manifest.latency}
        bundle["drop"] = manifest.metrics.get("val", {}).get("drop", {})
        bundle["temperatures"] = predictor.temperatures
        run = partial(_run_bundle, predictor)
        found.append(Judge(f"{name} {str(one).upper()}", manifest.contract, run, manifest.made_by, bundle, str(path)))
    return found


def _run_bundle(predictor: Predictor, crops: np.ndarray) -> np.ndarray:
    return as_columns(predictor.outputs(crops), predictor.contract.tasks)


@torch.inference_mode()
def _run(network: FaceNet, crops: np.ndarray) -> np.ndarray:
    images = torch.from_numpy(crops.transpose(0, 3, 1, 2).copy())
    outputs = network.raw(normalise(images, network.contract)).heads
    parts = []
    for task in network.contract.tasks:
        head = network.head(task.name)
        probabilities = head.probabilities(outputs[task.name])
        years = () if task.is_classes else (head.decode(outputs[task.name]).numpy(), spread(probabilities.numpy()))
        parts += years or [probabilities.numpy()]
    return np.hstack(parts)
