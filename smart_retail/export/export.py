"""From a checkpoint to a bundle: export, quantise, measure, gate, seal."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import onnx
import pandas as pd

from smart_retail.contract import Contract
from smart_retail.data.face_crops import FaceCrops, read_index, training_config
from smart_retail.data.index import FaceIndex
from smart_retail.data.sources.drawing import FaceSpec, draw_face
from smart_retail.edge.bundle import seal, write_bundle, write_golden
from smart_retail.edge.calibration import calibrate
from smart_retail.edge.manifest import CARD, DISTRIBUTION, DROPS, PRECISIONS, Manifest
from smart_retail.edge.processor import device
from smart_retail.edge.runtime import Feed, feed, open_session
from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.evaluation.judging import Judge, as_columns, predict, select
from smart_retail.evaluation.metrics import Question, answered, losses_between, tabulate
from smart_retail.evaluation.predictions import probability_columns
from smart_retail.export.gate import Gate
from smart_retail.export.intervals import years_interval
from smart_retail.export.model_card import model_card
from smart_retail.export.onnx import PARITY, export_network
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.fake_quantise import convolutions
from smart_retail.models.load import network_of
from smart_retail.models.network import FaceNet
from smart_retail.provenance import versions, without_places
from smart_retail.quantise.compact import half_weights
from smart_retail.quantise.post_training import Int8Settings, quantise
from smart_retail.quantise.qat import quantise_qat
from smart_retail.tasks import Task
from smart_retail.timing import time_in_turns

log = logging.getLogger(__name__)
PARITY_FACES = 16
HALVES_FACES = 256
"""Validation faces whose answers must stay when weights are stored in 16 bits: some faces feel it ten times as much."""
LATENCY_ROUNDS = 30


@dataclass(frozen=True)
class ExportSettings:
    """What a bundle holds and how it is checked.

    Attributes:
        precision: int8 writes FP32 and INT8, fp32 the former alone.
        input: float32 takes normalised (B, 3, S, S); uint8 takes (B, S, S, 3) RGB as it is, with the
            preprocessing in the graph.
        outputs: of classes.
        age_distribution: also answer with the probability of each year, for tasks of years.
        int8: how INT8 is made.
        gate: how much INT8 may lose on the validation faces.
        limit_eval: measure on this many validation and test faces only, drawn by the seed.
        seed: of all draws.
        notes: Markdown for the model card: how the network was made, what was tried.
    """

    precision: Literal["int8", "fp32"] = "int8"
    input: Literal["float32", "uint8"] = "float32"
    outputs: Literal["probabilities", "logits"] = "probabilities"
    age_distribution: bool = False
    int8: Int8Settings = field(default_factory=Int8Settings)
    gate: Gate = field(default_factory=Gate)
    limit_eval: int | None = None
    seed: int = 0
    notes: str = ""

    def __post_init__(self) -> None:
        """Check the values."""
        if self.limit_eval is not None and self.limit_eval < 1:
            raise ConfigError(f"limit_eval {self.limit_eval} must be 1 or more")
        if not 0 <= self.seed < 1 << 32:
            raise ConfigError(f"seed {self.seed} is outside 0 to {(1 << 32) - 1}")


def export_bundle(
    checkpoint: str | Path,
    folder: str | Path,
    settings: ExportSettings = ExportSettings(),
    data: Mapping[str, Any] | FaceIndex | None = None,
) -> Manifest:
    """Write a bundle from a checkpoint; nothing appears unless every check passes.

    Args:
        checkpoint: of ``fit``, or ``model.pth``.
        folder: where the bundle goes; replaced if it is a bundle.
        settings: what and how.
        data: config with ``data``, or the faces themselves (``FaceDataModule.index``); None for the config of the
            training.

    Returns:
        The manifest.

    Raises:
        CheckpointError: the checkpoint is unusable.
        ExportError: ONNX deviates from PyTorch.
        GateError: INT8 loses too much.
    """
    content = read_checkpoint(checkpoint)
    network, qat = network_of(content, str(checkpoint)), None
    if convolutions(network):
        if "reference" not in content.get("qat", {}):
            raise CheckpointError(f"{checkpoint} lacks the float network that its INT8 is judged against")
        network, qat = network_of(content["qat"]["reference"], str(checkpoint)), network
    if not isinstance(data, FaceIndex):
        data = read_index(data or training_config(content, str(checkpoint)), network.contract.tasks)
    index = data
    made_by = {name: value for name, value in (content.get("made_by") or {}).items() if name != "folder"}
    trained_on, found = made_by.get("data_fingerprint"), index.fingerprint(network.contract.tasks)
    if trained_on and trained_on != found:
        log.warning(
            "the faces are not those of the training (fingerprint %s, trained on %s): "
            "validation faces may have been seen in training",
            found,
            trained_on,
        )
    if made_by.get("config"):
        made_by["config"] = without_places(made_by["config"])
    made_by |= {"export_versions": versions(), "measured_on": found}
    # Those of the training first: the faces it is measured on may be others.
    made_by["data_terms"] = list(dict.fromkeys([*made_by.get("data_terms", []), *index.terms]))
    made_by["exported"] = datetime.now(UTC).isoformat(timespec="seconds")
    limits = {"train": None, "val": settings.limit_eval, "test": settings.limit_eval}
    parts = {
        split: FaceCrops(select(index, split, limit, settings.seed), network.contract)
        for split, limit in limits.items()
    }
    with write_bundle(Path(folder)) as aside:
        return fill_bundle(aside, network, parts, settings, made_by, qat)


def fill_bundle(
    folder: Path,
    network: FaceNet,
    parts: Mapping[str, FaceCrops],
    settings: ExportSettings,
    made_by: dict[str, Any],
    qat: FaceNet | None = None,
) -> Manifest:
    """Write all files of a bundle into a folder; see ``export_bundle``.

    Args:
        folder: empty.
        network: in float.
        parts: faces by split.
        settings: what and how.
        made_by: provenance for the manifest.
        qat: the same after quantisation-aware training, measured beside post-training quantisation;
            None for the latter alone.
    """
    contract = network.contract
    paths = {p: folder / name for p, name in PRECISIONS.items() if p == "fp32" or settings.precision == "int8"}
    parity = export_network(
        network,
        paths["fp32"],
        parts["val"].first(PARITY_FACES),
        source=settings.input,
        form=settings.outputs,
        ages=settings.age_distribution,
    )
    variants: dict[str, Any] = {"fp32": {"parity": parity}}
    if "int8" in paths:
        variants["int8"] = _int8(paths, parts["train"], settings, qat)
    networks: dict[str, Feed] = {}
    with TemporaryDirectory() as aside:
        if "int8" in paths and qat is not None:
            # Not shipped: it shows what the additional training brought.
            paths["ptq"] = Path(aside) / PRECISIONS["int8"]
            variants["ptq"] = quantise(paths["fp32"], paths["ptq"], parts["train"], settings.int8, settings.seed)
        # After INT8, which is made from the whole weights.
        faces = parts["val"].sample(HALVES_FACES, settings.seed)
        variants["fp32"]["parity"] = max(parity, _store_in_halves(paths["fp32"], faces.first(HALVES_FACES), contract))
        for precision, path in paths.items():
            variants[precision]["bytes"] = path.stat().st_size
            networks[precision] = partial(feed, open_session(path), contract=contract)
    judges = [judge_of(name, network, contract, settings.outputs) for name, network in networks.items()]
    shipped = "int8" if "int8" in paths else "fp32"
    val = dict(zip(networks, predict(judges, parts["val"].table, "validation faces"), strict=True))
    metrics: dict[str, Any] = {"val": _metrics(val, contract.tasks)}
    judged = metrics["val"].get("drop", contract.task_names)
    if silent := [name for name in contract.task_names if name not in judged]:
        log.warning("no validation face has a label of %s: INT8 is not judged by it", ", ".join(silent))
    if "int8" in paths:
        settings.gate.check(metrics["val"]["drop"])
    test = dict(zip(networks, predict(judges, parts["test"].table, "test faces"), strict=True))
    metrics["test"] = _metrics(test, contract.tasks) | {"groups": _groups(test[shipped])}
    years = [task for task in contract.tasks if not task.is_classes]
    intervals = {task.name: years_interval(val[shipped], task) for task in years}
    manifest = Manifest(
        contract=contract,
        input=settings.input,
        form=settings.outputs,
        outputs=contract.task_names + tuple(t.name + DISTRIBUTION for t in years if settings.age_distribution),
        files={},
        variants=variants,
        metrics=metrics,
        intervals={task: interval for task, interval in intervals.items() if interval},
        calibration=_calibration(val[shipped], contract.tasks),
        latency=_latency(networks, parts["val"].first(1)),
        terms=made_by.pop("data_terms", []),
        made_by=made_by,
    )
    write_golden(folder, contract, drawn_faces(contract.image_size))
    (folder / CARD).write_text(model_card(manifest, settings.notes), encoding="utf-8")
    seal(folder, manifest)
    return manifest


def _store_in_halves(path: Path, crops: np.ndarray, contract: Contract) -> float:
    """Store the weights of a float32 file in 16 bits, as many of the last layers as leave its answers as they are.

    What rounding changes in an early layer grows on its way through the later ones, and those are the large ones.

    Returns:
        The largest deviation that this brings, relative to the largest output; 0 where nothing was changed.
    """
    before = feed(open_session(path), crops, contract)
    content, found = path.read_bytes(), 0.0
    count = half_weights(onnx.load_from_string(content))
    few, many = 0, count + 1  # so many are right, so many too many
    with TemporaryDirectory() as folder:
        small = Path(folder) / path.name
        while many - few > 1:
            tried = count if many > count else (few + many) // 2
            model = onnx.load_from_string(content)
            half_weights(model, tried)
            onnx.save(model, small)
            after = feed(open_session(small), crops, contract)
            worst = float(np.max([np.abs(after[n] - v).max() / max(1.0, np.abs(v).max()) for n, v in before.items()]))
            if worst <= PARITY:
                few, found = tried, worst
                shutil.copyfile(small, path)
            else:
                many = tried
    if few < count:
        log.info("weights of the last %d of %d layers are stored in 16 bits, the others in 32", few, count)
    return found


def _int8(paths: Mapping[str, Path], faces: FaceCrops, settings: ExportSettings, qat: FaceNet | None) -> dict[str, Any]:
    if qat is None:
        return quantise(paths["fp32"], paths["int8"], faces, settings.int8, settings.seed)
    count = settings.int8.calibration_faces
    shape = {"source": settings.input, "form": settings.outputs, "ages": settings.age_distribution}
    return quantise_qat(qat, paths["int8"], faces.sample(count, settings.seed).first(count), settings.int8, shape)


def judge_of(name: str, run: Feed, contract: Contract, form: str) -> Judge:
    """Return a network that runs as a bundle's does; ``form`` tells what it says of classes."""
    return Judge(name, contract, lambda crops: as_columns(run(crops), contract.tasks, logits=form == "logits"))


def _metrics(tables: dict[str, pd.DataFrame], tasks: Sequence[Task]) -> dict[str, Any]:
    """Return by variant its figures on all faces; and what each loses against FP32."""
    found: dict[str, Any] = {name: figures(table) for name, table in tables.items()}
    for name, key in DROPS.items():
        if name in tables:
            found[key] = losses_between(tables["fp32"], tables[name], tasks)
    return found


def figures(table: pd.DataFrame) -> dict[str, Any]:
    """Return by metric its ``value``, ``low``, ``high`` and ``faces``, on all faces of a table of predictions."""
    return {str(row["metric"]): _figure(row) for _, row in tabulate(table, ("all",)).iterrows()}


def _groups(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the figures of each data set, pose, and group of race, gender and age that has enough faces."""
    found: dict[str, dict[str, Any]] = {}
    for _, row in tabulate(table, ("data set", "pose", "group")).iterrows():
        if not np.isnan(row["value"]):
            found.setdefault(str(row["group"]), {})[str(row["metric"])] = _figure(row)
    return found


def _figure(row: pd.Series) -> dict[str, float | None]:
    """Return value, interval and faces; an interval of a single cluster is not there."""
    values = {name: float(row[name]) for name in ("value", "low", "high")}
    return {n: None if np.isnan(v) else v for n, v in values.items()} | {"faces": int(row["faces"])}


def _calibration(table: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, Any]:
    found = {}
    for task in (task for task in tasks if task.is_classes):
        known = answered(table, Question(task, task.name))
        found[task.name] = calibrate(known[probability_columns(task)].to_numpy(), known[task.name].to_numpy())
    return {task: values for task, values in found.items() if values}


def _latency(networks: dict[str, Feed], crop: np.ndarray) -> dict[str, Any]:
    seconds = time_in_turns({name: partial(run, crop) for name, run in networks.items()}, LATENCY_ROUNDS)
    medians = {name: 1000 * np.median(spent, axis=0) for name, spent in seconds.items()}
    rows = {name: {"wall_ms": float(wall), "processor_ms": float(own)} for name, (wall, own) in medians.items()}
    return {"device": device(), "threads": 1, "batch": 1, "variants": rows}


def drawn_faces(size: int, count: int = 4) -> np.ndarray:
    """Return (N, S, S, 3) uint8 RGB drawings of nobody."""
    specs = [FaceSpec(i % 2, 15.0 + 20 * (i % 4), i % 6) for i in range(count)]
    return np.stack([draw_face(spec, np.random.default_rng(i), size) for i, spec in enumerate(specs)])
