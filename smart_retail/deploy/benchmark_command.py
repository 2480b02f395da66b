"""``smart-retail benchmark bundle``: speed, size and accuracy of every way to run a network."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from smart_retail.deploy.benchmark import Run, Timing, bundle_variants, measure, torch_variants
from smart_retail.deploy.manifest import PRECISIONS, Manifest, check_files, read_manifest
from smart_retail.deploy.pretrained import find_bundle
from smart_retail.deploy.processor import device
from smart_retail.errors import ConfigError


def benchmark_bundle(args: list[str]) -> None:
    """Time a bundle; ``args`` are the words after ``benchmark bundle``.

    Raises:
        ConfigError: a value is out of range.
    """
    parser = argparse.ArgumentParser(
        prog="smart-retail benchmark bundle",
        description="Time the networks of a bundle in turns: PyTorch (with --checkpoint), ONNX Runtime and, where "
        "installed, OpenVINO. Preprocessing counts. Accuracy is the bundle's, on its test faces.",
    )
    parser.add_argument(
        "bundle", nargs="?", help="folder that `smart-retail export` wrote, or a name (default: the package's own)"
    )
    parser.add_argument("--checkpoint", help="also time PyTorch with this checkpoint or model.pth")
    parser.add_argument("--image-size", type=int, help="time the checkpoint's network at another side in pixels")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, len(os.sched_getaffinity(0))}))
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=50, help="calls of each variant (default: 50)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(args)
    if min(*options.threads, *options.batch, options.rounds) < 1:
        raise ConfigError("--threads, --batch and --rounds must be 1 or more")
    bundle = find_bundle(options.bundle)
    manifest = read_manifest(bundle)
    check_files(bundle, manifest)
    with TemporaryDirectory() as folder:
        checkpoint = options.checkpoint
        if options.image_size and options.image_size != manifest.contract.image_size:
            if not checkpoint:
                raise ConfigError("--image-size needs --checkpoint: an exported network has one size")
            bundle = Path(folder)
            manifest, checkpoint = _resized(checkpoint, manifest, bundle, options.image_size)

        def open_variants(threads: int) -> Mapping[str, Run]:
            torch_ones = torch_variants(checkpoint, threads) if checkpoint else {}
            return torch_ones | bundle_variants(bundle, manifest, threads)

        timings = measure(
            open_variants, manifest.contract, threads=options.threads, batches=options.batch, rounds=options.rounds
        )
        sizes = {p.upper(): (bundle / name).stat().st_size for p, name in PRECISIONS.items() if name in manifest.files}
    if options.json:
        rows = [asdict(t) | {"faces_per_second": t.faces_per_second} for t in timings]
        values = {"device": device(), "image_size": manifest.contract.image_size, "bytes": sizes, "timings": rows}
        print(json.dumps(values | {"metrics": manifest.metrics.get("test", {})}))
    else:
        _print_table(timings, sizes, manifest)


def _resized(checkpoint: str, manifest: Manifest, folder: Path, size: int) -> tuple[Manifest, str]:
    """Export a network at another size, quantised on noise: its speed is right, its accuracy is not."""
    import torch

    from smart_retail.deploy.onnx import export_network
    from smart_retail.deploy.quantize import Int8Settings, quantise_crops
    from smart_retail.models.load import load_model, read_checkpoint

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


def _print_table(timings: list[Timing], sizes: dict[str, int], manifest: Manifest) -> None:
    where = device()
    dot = "with" if where["int8_dot_product"] else "without"
    print(f"{where['processor']}, {where['cores']} cores, {dot} INT8 dot products; {manifest.contract.image_size} px")
    print(f"{'':26}{'threads':>8}{'batch':>6}{'median ms':>11}{'10-90%':>16}{'faces/s':>9}{'x FP32':>8}")
    for t in timings:
        spread = f"{t.low:.2f}-{t.high:.2f}"
        print(
            f"{t.variant:26}{t.threads:8}{t.batch:6}{t.median:11.2f}{spread:>16}"
            f"{t.faces_per_second:9.0f}{t.speedup:8.2f}"
        )
    print("size: " + ", ".join(f"{name} {n / 1e6:.2f} MB" for name, n in sizes.items()))
    test: dict[str, Any] = manifest.metrics.get("test", {})
    for precision in PRECISIONS:
        if precision in test:
            found = test[precision]
            known = [f"{k} {found[k]:.4g}" for k in ("gender_acc", "age_mae", "emotion_acc") if k in found]
            print(f"accuracy of {precision.upper()} on the test faces: {', '.join(known)}")
