"""``smart-retail benchmark bundle``: speed, size and accuracy of every way to run a network."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from smart_retail.config_files import read_yaml
from smart_retail.contract import Contract
from smart_retail.edge.manifest import PRECISIONS, Manifest, check_files, read_manifest
from smart_retail.edge.pretrained import find_bundle
from smart_retail.edge.processor import device
from smart_retail.edge.runtime import Feed
from smart_retail.errors import ConfigError
from smart_retail.export.benchmark import Timing, bundle_variants, measure, torch_variants
from smart_retail.tasks import Task

Figures = dict[str, dict[str, Any]]
"""By metric ``value``, ``low``, ``high`` and ``faces``."""


def benchmark_bundle(args: list[str]) -> None:
    """Time a bundle; ``args`` are the words after ``benchmark bundle``.

    Raises:
        ConfigError: a value is out of range, or another size is asked for without a checkpoint.
    """
    parser = argparse.ArgumentParser(
        prog="smart-retail benchmark bundle",
        description="Time the networks of a bundle in turns: PyTorch (with --checkpoint), ONNX Runtime and, where "
        "installed, OpenVINO. Preprocessing counts. cpu ms is the time of all threads on the processors: on a busy "
        "machine it tells more than the clock.",
    )
    parser.add_argument(
        "bundle", nargs="?", help="folder that `smart-retail export` wrote, or a name (default: the package's own)"
    )
    parser.add_argument("--checkpoint", help="also time PyTorch with this run, checkpoint or model.pth")
    parser.add_argument(
        "--image-size", type=int, nargs="+", help="sides in pixels; others than the bundle's need --checkpoint"
    )
    threads = sorted({1, len(os.sched_getaffinity(0))})
    parser.add_argument(
        "--threads", type=int, nargs="+", default=threads, help="each is timed (default: 1, and one a core)"
    )
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16], help="faces in a call (default: 1 16)")
    parser.add_argument("--rounds", type=int, default=50, help="calls of each variant (default: 50)")
    parser.add_argument("--faces", type=int, default=0, help="measure all variants on this many validation faces, too")
    parser.add_argument("--data", help="YAML with `data:` for --faces (default: that of the training)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(args)
    if min(*options.threads, *options.batch, options.rounds) < 1 or options.faces < 0:
        raise ConfigError("--threads, --batch and --rounds must be 1 or more, --faces 0 or more")
    if options.image_size and min(options.image_size) < 32:
        raise ConfigError(f"--image-size {min(options.image_size)} is too small: backbones shrink images 32 times")
    bundle = find_bundle(options.bundle)
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    checkpoint = None
    if options.checkpoint:
        from smart_retail.runs import find_checkpoint

        checkpoint = str(find_checkpoint(options.checkpoint, run="run"))
    timings: list[Timing] = []
    accuracy: dict[str, Figures] = {}
    for size in options.image_size or [manifest.contract.image_size]:
        with TemporaryDirectory() as folder:
            measured, variants = manifest, partial(_open, bundle, manifest, checkpoint)
            if size != manifest.contract.image_size:
                if not checkpoint:
                    raise ConfigError(f"--image-size {size} needs --checkpoint: an exported network has one size")
                measured, resized = _resized(checkpoint, manifest, Path(folder), size)
                variants = partial(_open, Path(folder), measured, resized)
            elif options.faces:
                accuracy = _accuracy(variants(1), manifest, options.faces, options.data)
            timings += measure(
                variants, measured.contract, threads=options.threads, batches=options.batch, rounds=options.rounds
            )
    if not accuracy:
        test = manifest.metrics.get("test", {})
        accuracy = {f"ONNX {p.upper()}": test[p] for p in PRECISIONS if p in test}
    sizes = {p.upper(): (bundle / name).stat().st_size for p, name in PRECISIONS.items() if name in manifest.files}
    if options.json:
        faces = f"{options.faces} validation faces" if options.faces else "test faces of the export"
        values = {"device": device(), "image_size": manifest.contract.image_size, "bytes": sizes}
        values |= {"timings": [t.to_dict() for t in timings], "accuracy": accuracy, "accuracy_on": faces}
        print(json.dumps(values))
    else:
        _print_table(timings, accuracy, manifest.contract)
        print("size: " + ", ".join(f"{name} {n / 1e6:.2f} MB" for name, n in sizes.items()))


def _open(bundle: Path, manifest: Manifest, checkpoint: str | None, threads: int) -> dict[str, Feed]:
    return (torch_variants(checkpoint, threads) if checkpoint else {}) | bundle_variants(bundle, manifest, threads)


def _accuracy(variants: dict[str, Feed], manifest: Manifest, count: int, data: str | None) -> dict[str, Figures]:
    """Judge validation faces by every variant: no runtime is taken at its word."""
    from smart_retail.data.face_crops import read_index, training_config
    from smart_retail.evaluation.judging import predict, select
    from smart_retail.export.export import figures, judge_of

    contract = manifest.contract
    config = read_yaml(Path(data)) if data else training_config({"made_by": manifest.made_by}, "the bundle")
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
    from smart_retail.models.load import load_model, read_checkpoint
    from smart_retail.quantise.post_training import Int8Settings, quantise_crops

    content = read_checkpoint(checkpoint)
    contract = replace(manifest.contract, image_size=size)
    network = load_model(checkpoint)
    network.contract = contract
    crops = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), np.uint8)
    with tqdm(total=2, desc=f"exporting at {size} px", leave=False) as bar:
        export_network(
            network, folder / PRECISIONS["fp32"], crops, source=manifest.input, form=manifest.form, ages=False
        )
        bar.update()
        quantise_crops(folder / PRECISIONS["fp32"], folder / PRECISIONS["int8"], crops, contract, Int8Settings())
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
