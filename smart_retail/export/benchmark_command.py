"""``smart-retail benchmark bundle``: speed, size and accuracy of every way to run a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from tqdm import tqdm

from smart_retail.arguments import as_list, check_above, command_parser, parse
from smart_retail.config_files import read_yaml
from smart_retail.contract import Contract
from smart_retail.cores import usable_cores
from smart_retail.edge.manifest import PRECISIONS, Manifest, check_files, read_manifest
from smart_retail.edge.predict_command import add_bundle
from smart_retail.edge.pretrained import find_bundle
from smart_retail.edge.processor import device
from smart_retail.edge.runtime import Feed
from smart_retail.errors import ConfigError
from smart_retail.export.benchmark import Timing, bundle_variants, measure, torch_variants
from smart_retail.tasks import Task

Figures = dict[str, dict[str, Any]]
"""By metric ``value``, ``low``, ``high`` and ``faces``."""


def benchmark_bundle(args: Sequence[str]) -> None:
    """Time a bundle; ``args`` are the words after ``benchmark bundle``.

    Raises:
        ConfigError: a value is out of range, or another size is asked for without a checkpoint.
    """
    parser = command_parser(
        "benchmark bundle",
        "Time the networks of a bundle in turns: PyTorch (with --checkpoint), ONNX Runtime and, where installed, "
        "OpenVINO. Preprocessing counts. cpu ms is the time of all threads on the processors: on a busy machine it "
        "tells more than the clock. Several values of one option: '[48, 224]'.",
        imports=True,
    )
    add_bundle(parser)
    parser.add_argument("--checkpoint", type=str, help="also time PyTorch with this run, checkpoint or model.pth")
    parser.add_argument(
        "--image_size", type=int | list[int], help="side in pixels; another than the bundle's needs --checkpoint"
    )
    threads = sorted({1, usable_cores()})
    parser.add_argument("--threads", type=int | list[int], default=threads, help="each number is timed")
    parser.add_argument("--batch_size", type=int | list[int], default=[1, 16], help="faces in a call")
    parser.add_argument(
        "--providers", type=list[str] | str | None, help="also time these of ONNX Runtime: cuda, tensorrt, coreml, ..."
    )
    parser.add_argument("--rounds", type=int, default=50, help="calls of each variant")
    parser.add_argument("--faces", type=int, default=0, help="measure all variants on this many validation faces, too")
    parser.add_argument("--data", type=Path, help="YAML with data: for --faces; that of the training unless given")
    parser.add_argument("--format", type=Literal["table", "json"], default="table", help="of the figures")
    options = parse(parser, args)
    check_above(1, threads=options.threads, batch_size=options.batch_size, rounds=options.rounds)
    check_above(0, faces=options.faces)
    sizes = as_list(options.image_size)
    if sizes and min(sizes) < 32:
        raise ConfigError(f"--image_size {min(sizes)} is too small: backbones shrink images 32 times")
    bundle = find_bundle(options.bundle)
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    checkpoint, providers = None, as_list(options.providers)
    if options.checkpoint:
        from smart_retail.runs import find_checkpoint

        checkpoint = str(find_checkpoint(options.checkpoint, run="run"))
    timings: list[Timing] = []
    accuracy: dict[str, Figures] = {}
    for size in sizes or [manifest.contract.image_size]:
        with TemporaryDirectory() as folder:
            measured, variants = manifest, partial(_open, bundle, manifest, checkpoint, providers)
            if size != manifest.contract.image_size:
                if not checkpoint:
                    raise ConfigError(f"--image_size {size} needs --checkpoint: an exported network has one size")
                measured, resized = _resized(checkpoint, manifest, Path(folder), size)
                variants = partial(_open, Path(folder), measured, resized, providers)
            elif options.faces:
                accuracy = _accuracy(variants(1), manifest, options.faces, options.data)
            timings += measure(
                variants,
                measured.contract,
                threads=as_list(options.threads),
                batches=as_list(options.batch_size),
                rounds=options.rounds,
            )
    if not accuracy:
        test = manifest.metrics.get("test", {})
        accuracy = {f"ONNX {p.upper()}": test[p] for p in PRECISIONS if p in test}
    stored = {p.upper(): (bundle / name).stat().st_size for p, name in PRECISIONS.items() if name in manifest.files}
    if options.format == "json":
        faces = f"{options.faces} validation faces" if options.faces else "test faces of the export"
        values = {"device": device(), "image_size": manifest.contract.image_size, "bytes": stored}
        values |= {"timings": [t.to_dict() for t in timings], "accuracy": accuracy, "accuracy_on": faces}
        print(json.dumps(values))
    else:
        _print_table(timings, accuracy, manifest.contract)
        print("size: " + ", ".join(f"{name} {n / 1e6:.2f} MB" for name, n in stored.items()))


def _open(
    bundle: Path, manifest: Manifest, checkpoint: str | None, providers: list[str], threads: int
) -> dict[str, Feed]:
    variants = bundle_variants(bundle, manifest, threads, providers)
    return (torch_variants(checkpoint, threads) if checkpoint else {}) | variants


def _accuracy(variants: dict[str, Feed], manifest: Manifest, count: int, data: Path | None) -> dict[str, Figures]:
    """Judge validation faces by every variant: no runtime is taken at its word."""
    from smart_retail.data.face_crops import read_index, training_config
    from smart_retail.evaluation.judging import predict, select
    from smart_retail.export.measure import figures, judge_of

    contract = manifest.contract
    config = read_yaml(data) if data else training_config({"made_by": manifest.made_by}, "the bundle")
    faces = select(read_index(config, contract.tasks), "val", count)
    judges = [judge_of(name, run, contract, _form(name, manifest)) for name, run in variants.items()]
    tables = predict(judges, faces, "validation faces")
    return {name: figures(table) for name, table in zip(variants, tables, strict=True)}


def _form(variant: str, manifest: Manifest) -> str:
    return "logits" if variant.startswith("PyTorch") else manifest.form


def _resized(checkpoint: str, manifest: Manifest, folder: Path, size: int) -> tuple[Manifest, str]:
    """Export a network at another size, quantised on noise: its speed is right, its accuracy is not."""
    import torch

    from smart_retail.export.onnx import export_network
    from smart_retail.models.checkpoint import read_checkpoint
    from smart_retail.models.load import load_model
    from smart_retail.quantise.int8 import Int8Settings, quantise

    content = read_checkpoint(checkpoint)
    network = load_model(checkpoint)
    network.contract = contract = replace(network.contract, image_size=size)  # its tasks may be more than the bundle's
    crops = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
    with tqdm(total=2, desc=f"exporting at {size} px", leave=False, disable=None) as bar:
        export_network(
            network, folder / PRECISIONS["fp32"], crops, source=manifest.input, form=manifest.form, ages=False
        )
        bar.update()
        quantise(folder / PRECISIONS["fp32"], folder / PRECISIONS["int8"], crops, contract, Int8Settings())
    resized = str(folder / "resized.ckpt")
    torch.save(content | {"contract": contract.to_dict()}, resized)
    files = dict.fromkeys(PRECISIONS.values(), "")
    return replace(manifest, contract=contract, files=files, metrics={}), resized


def _print_table(timings: list[Timing], accuracy: dict[str, Figures], contract: Contract) -> None:
    where = device()
    dot = "with" if where["int8_dot_product"] else "without"
    print(f"{where['processor']}, {where['cores']} cores, {dot} INT8 dot products")
    heads = "".join(f"{task.name + ' %' * task.is_classes:>{len(task.name) + 4}}" for task in contract.tasks)
    print(
        f"{'':26}{'px':>4}{'threads':>8}{'batch':>6}{'median ms':>11}{'10-90%':>16}{'cpu ms':>9}{'faces/s':>9}"
        f"{'x FP32':>8}{'cpu':>6}{heads}"
    )
    for t in timings:
        known = accuracy.get(t.variant, {}) if t.image_size == contract.image_size else {}
        cells = "".join(f"{_figure(known, task):>{len(task.name) + 4}}" for task in contract.tasks)
        spread = f"{t.low:.2f}-{t.high:.2f}"
        print(
            f"{t.variant:26}{t.image_size:4}{t.threads:8}{t.batch:6}{t.median:11.2f}{spread:>16}{t.processor:9.2f}"
            f"{t.faces_per_second:9.0f}{t.speedup:8.2f}{t.processor_speedup:6.2f}{cells}".rstrip()
        )


def _figure(known: Figures, task: Task) -> str:
    found = known.get(task.metric)
    if not found:
        return ""
    return f"{100 * found['value']:.1f}" if task.is_classes else f"{found['value']:.2f}"
