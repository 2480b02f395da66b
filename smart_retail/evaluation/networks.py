"""What can be evaluated, by MODEL or NAME=MODEL of the command line: checkpoints, bundles as shipped, predictions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

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
from smart_retail.runs import versions_of

TABLES = (".parquet", ".csv")
SAME_EVERYWHERE = ("best", "last", "model", "predictions", "bundle")


class ModelSpec(NamedTuple):
    """One MODEL of the command line; ``named`` if it came with a name."""

    name: str
    path: Path
    named: bool

    @property
    def is_table(self) -> bool:
        """Whether it holds predictions."""
        return self.path.suffix.lower() in TABLES


def model_specs(arguments: Sequence[str]) -> list[ModelSpec]:
    """Return the models with their names, each name once.

    Raises:
        ConfigError: two models are given one name.
    """
    found: list[ModelSpec] = []
    for argument in arguments:
        name, _, path = ("", "", argument) if Path(argument).exists() else argument.rpartition("=")
        taken = [other.name for other in found]
        if name in taken:
            raise ConfigError(f"two models are called {name}; give each a name of its own")
        found.append(ModelSpec(name or _unique(_name_of(Path(path)), taken), Path(path), bool(name)))
    return found


def _name_of(path: Path) -> str:
    """Return the name of a model's file, with that of its run where files are all called the same."""
    parts = [p for p in path.parts if p not in ("/", ".", "..", "checkpoints", "lightning_logs")]
    plain = path.stem if path.suffix in (*TABLES, ".ckpt", ".pth", ".safetensors") else path.name
    return "/".join([*parts[-3:-1], plain]) if plain in SAME_EVERYWHERE or plain.startswith("version_") else plain


def _unique(name: str, taken: Sequence[str]) -> str:
    number = 1 + sum(other == name or other.startswith(f"{name} (") for other in taken)
    return name if number == 1 else f"{name} ({number})"


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
        if (path / "config.yaml").is_file():
            others = [str(run) for run in versions_of(path.parent) if (run / "checkpoints").is_dir()]
            hint = f"; the run's other folders: {', '.join(others)}" if others else ""
            raise ConfigError(f"{path}: this training ended before its first checkpoint{hint}")
        raise ConfigError(f"{path} is neither a bundle (it has no {MANIFEST}) nor a run's folder")
    content = read_checkpoint(path)
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
    parts: list[np.ndarray] = []
    for task in network.contract.tasks:
        head = network.head(task.name)
        probabilities = head.probabilities(outputs[task.name])
        years = [] if task.is_classes else [head.decode(outputs[task.name]).numpy(), spread(probabilities.numpy())]
        parts += years or [probabilities.numpy()]
    return np.hstack(parts)
