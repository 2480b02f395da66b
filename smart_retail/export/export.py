"""From a checkpoint to a bundle: export, quantise, measure, gate, seal."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.face_crops import FaceCrops, read_index, training_config
from smart_retail.data.index import FaceIndex
from smart_retail.data.sources.drawing import FaceSpec, draw_face
from smart_retail.edge.bundle import seal, write_bundle, write_golden
from smart_retail.edge.manifest import CARD, LEARNT, PRECISIONS, Manifest, output_names
from smart_retail.edge.runtime import Feed, feed, open_session
from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.evaluation.judging import predict, select
from smart_retail.export.gate import MIN_STEPS, Gate, check_answers, ways_out
from smart_retail.export.halves import store_in_halves
from smart_retail.export.intervals import years_interval
from smart_retail.export.measure import figures_of, groups, judge_of, latency, temperatures
from smart_retail.export.model_card import model_card
from smart_retail.export.onnx import export_network, keep_tasks
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.fake_quantise import convolutions, input_ranges, to_float
from smart_retail.models.load import network_of
from smart_retail.models.network import FaceNet
from smart_retail.provenance import versions, without_places
from smart_retail.quantise.int8 import Int8Settings, calibration_crops, quantise
from smart_retail.tasks import chosen

log = logging.getLogger(__name__)
PARITY_FACES = 16
HALVES_FACES = 256
"""Validation faces whose answers must stay when weights are stored in 16 bits: some faces feel it ten times as much."""


@dataclass(frozen=True)
class ExportSettings:
    """What a bundle holds and how it is checked.

    Attributes:
        precision: int8 writes FP32 and INT8, fp32 the former alone.
        input: float32 takes normalised (B, 3, S, S); uint8 takes (B, S, S, 3) RGB as it is, with the
            preprocessing in the graph.
        outputs: of classes.
        age_distribution: also answer with the probability of each year, for tasks of years.
        tasks: names of what is answered; all that was learnt unless given. The other heads are left out of the files.
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
    tasks: tuple[str, ...] | None = None
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
        GateError: INT8 is shown to lose too much, or the network has one answer for all faces.
    """
    content = read_checkpoint(checkpoint)
    network, qat = network_of(content, str(checkpoint)), None
    if convolutions(network):
        if "reference" not in content.get("qat", {}):
            raise CheckpointError(f"{checkpoint} lacks the float network that its INT8 is judged against")
        network, qat = network_of(content["qat"]["reference"], str(checkpoint)), network
    steps, started = content.get("global_step", MIN_STEPS), content["hyper_parameters"].get("init_weights")
    if steps < MIN_STEPS and not started and qat is None:
        log.warning("%s is of step %d: from scratch little is learnt before step %d", checkpoint, steps, MIN_STEPS)
    kept = kept_contract(network.contract, settings)
    if not isinstance(data, FaceIndex):
        data = read_index(data or training_config(content, str(checkpoint)), network.contract.tasks)
    parts = {
        split: FaceCrops(select(data, split, limit, settings.seed), network.contract)
        for split, limit in {"train": None, "val": settings.limit_eval, "test": settings.limit_eval}.items()
    }
    provenance = _provenance(content, data, network.contract, kept)
    with write_bundle(Path(folder)) as aside:
        return fill_bundle(aside, network, parts, settings, provenance, qat)


def kept_contract(contract: Contract, settings: ExportSettings) -> Contract:
    """Return the contract of what is exported of a network.

    Raises:
        ConfigError: a task does not exist, or a setting is of one that is left out.
    """
    if settings.tasks is None:
        return contract
    kept = replace(contract, tasks=chosen(contract.tasks, settings.tasks))
    if odd := sorted(set(settings.gate.tasks or {}) - set(kept.task_names)):
        raise ConfigError(f"gate.tasks names {', '.join(odd)}; exported are {', '.join(kept.task_names)}")
    if settings.age_distribution and all(task.is_classes for task in kept.tasks):
        raise ConfigError(f"age_distribution: of {', '.join(kept.task_names)} none is of years")
    return kept


def _provenance(content: Mapping[str, Any], index: FaceIndex, contract: Contract, kept: Contract) -> dict[str, Any]:
    """Return what made a network and what it is measured on, for the manifest."""
    found = {name: value for name, value in (content.get("made_by") or {}).items() if name != "folder"}
    trained_on, measured_on = found.get("data_fingerprint"), index.fingerprint(contract.tasks)
    if trained_on and trained_on != measured_on:
        log.warning(
            "the faces are not those of the training (fingerprint %s, trained on %s): "
            "validation faces may have been seen in training",
            measured_on,
            trained_on,
        )
    if found.get("config"):
        found["config"] = without_places(found["config"])
    if kept != contract:
        found[LEARNT] = [task.to_dict() for task in contract.tasks]
    return found | {
        "export_versions": versions(),
        "measured_on": measured_on,
        # Those of the training first: the faces it is measured on may be others.
        "data_terms": list(dict.fromkeys([*found.get("data_terms", []), *index.terms])),
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def fill_bundle(
    folder: Path,
    network: FaceNet,
    parts: Mapping[str, FaceCrops],
    settings: ExportSettings,
    provenance: dict[str, Any],
    qat: FaceNet | None = None,
) -> Manifest:
    """Write all files of a bundle into a folder; see ``export_bundle``.

    Args:
        folder: empty.
        network: in float.
        parts: faces by split.
        settings: what and how.
        provenance: for the manifest.
        qat: the same after quantisation-aware training, measured beside post-training quantisation;
            None for the latter alone.
    """
    contract = kept_contract(network.contract, settings)
    paths = {p: folder / name for p, name in PRECISIONS.items() if p == "fp32" or settings.precision == "int8"}
    networks: dict[str, Feed] = {}
    with TemporaryDirectory() as aside:
        if "int8" in paths and qat is not None:
            paths["ptq"] = Path(aside) / PRECISIONS["int8"]  # not shipped: it shows what the training for INT8 brought
        variants = _write_networks(paths, network, parts, settings, qat)
        for precision, path in paths.items():
            variants[precision]["bytes"] = path.stat().st_size
            networks[precision] = partial(feed, open_session(path), contract=contract)
    judges = [judge_of(name, run, contract, settings.outputs) for name, run in networks.items()]
    shipped = "int8" if "int8" in paths else "fp32"
    val = dict(zip(networks, predict(judges, parts["val"].table, "validation faces"), strict=True))
    if constant := check_answers(val["fp32"], contract.tasks):
        log.warning("the answer is the same for every validation face: %s", ", ".join(constant))
    metrics: dict[str, Any] = {"val": figures_of(val, contract.tasks)}
    if "int8" in paths:
        advice = ways_out(settings.int8, trained=qat is not None, faces=len(parts["train"]))
        for line in settings.gate.check(metrics["val"]["drop"], advice):
            log.warning("too few validation faces to tell whether INT8 is within the limit: %s", line)
        if silent := [name for name in contract.task_names if name not in metrics["val"]["drop"]]:
            log.warning("no validation face has a label of %s: INT8 is not judged by it", ", ".join(silent))
    test = dict(zip(networks, predict(judges, parts["test"].table, "test faces"), strict=True))
    metrics["test"] = figures_of(test, contract.tasks) | {"groups": groups(test[shipped])}
    years = [task for task in contract.tasks if not task.is_classes]
    intervals = {task.name: years_interval(val[shipped], task) for task in years}
    manifest = Manifest(
        contract=contract,
        input=settings.input,
        form=settings.outputs,
        outputs=output_names(contract.tasks, distributions=settings.age_distribution),
        files={},
        variants=variants,
        metrics=metrics,
        intervals={task: interval for task, interval in intervals.items() if interval},
        calibration=temperatures(val[shipped], contract.tasks),
        latency=latency(networks, parts["val"].first(1)),
        terms=provenance.pop("data_terms", []),
        made_by=provenance,
    )
    write_golden(folder, contract, drawn_faces(contract.image_size))
    (folder / CARD).write_text(model_card(manifest, settings.notes), encoding="utf-8")
    seal(folder, manifest)
    return manifest


def _write_networks(
    paths: Mapping[str, Path],
    network: FaceNet,
    parts: Mapping[str, FaceCrops],
    settings: ExportSettings,
    qat: FaceNet | None,
) -> dict[str, Any]:
    """Write the file of each precision; return what was done, by precision."""
    contract, val = network.contract, parts["val"]
    shape: dict[str, Any] = {"source": settings.input, "form": settings.outputs, "ages": settings.age_distribution}
    parity = export_network(network, paths["fp32"], val.first(PARITY_FACES), **shape)
    done: dict[str, Any] = {"fp32": {}}
    if "int8" in paths:
        crops = calibration_crops(parts["train"], settings.int8, settings.seed)
        int8 = partial(quantise, crops=crops, contract=contract)
        if qat is None:
            done["int8"] = int8(paths["fp32"], paths["int8"], settings=settings.int8)
        else:
            bits = replace(settings.int8, weight_bits=next(iter(convolutions(qat).values())).bits)
            trained, source = input_ranges(qat), paths["ptq"].with_name("trained.onnx")
            export_network(to_float(qat), source, crops[:PARITY_FACES], **shape)
            done["int8"] = int8(source, paths["int8"], settings=bits, trained=trained)
            done["ptq"] = int8(paths["fp32"], paths["ptq"], settings=settings.int8)
    # After INT8, which is made from the whole weights.
    halves = store_in_halves(paths["fp32"], val.sample(HALVES_FACES, settings.seed).first(HALVES_FACES), contract)
    done["fp32"]["parity"] = max(parity, halves)
    # Last: with fewer tasks a network is the same in all that it still answers.
    if (kept := kept_contract(contract, settings)) != contract:
        for path in paths.values():
            keep_tasks(path, kept, ages=settings.age_distribution)
    return done


def drawn_faces(size: int, count: int = 4) -> np.ndarray:
    """Return (N, S, S, 3) uint8 RGB drawings of nobody."""
    specs = [FaceSpec(i % 2, 15.0 + 20 * (i % 4), i % 6) for i in range(count)]
    return np.stack([draw_face(spec, np.random.default_rng(i), size) for i, spec in enumerate(specs)])
