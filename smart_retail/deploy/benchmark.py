"""One interface for every way to run a network, timed in turns on the same faces."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.contract import Contract
from smart_retail.deploy.manifest import PRECISIONS, Manifest
from smart_retail.deploy.session import feed, normalise, open_session
from smart_retail.deploy.timing import time_in_turns

Run = Callable[[np.ndarray], object]
"""Takes (N, S, S, 3) uint8 RGB crops: the preprocessing counts, everyone needs it."""
BASE = "ONNX FP32"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call.

    Attributes:
        variant: how the network ran.
        threads: of the call.
        batch: faces in it.
        median: over the rounds.
        low: the 10th percentile.
        high: the 90th.
        speedup: of ``ONNX FP32`` over this, median of the paired ratios.
    """

    variant: str
    threads: int
    batch: int
    median: float
    low: float
    high: float
    speedup: float

    @property
    def faces_per_second(self) -> float:
        """Throughput at the median."""
        return 1000 * self.batch / self.median


def measure(
    open_variants: Callable[[int], Mapping[str, Run]],
    contract: Contract,
    *,
    threads: Sequence[int],
    batches: Sequence[int],
    rounds: int,
) -> list[Timing]:
    """Time all variants for each number of threads and each batch size.

    Args:
        open_variants: number of threads to variants by name; must hold ``ONNX FP32``.
        contract: of the networks.
        threads: numbers of threads.
        batches: batch sizes.
        rounds: calls of each.
    """
    rng = np.random.default_rng(0)
    found = []
    for count in threads:
        variants = open_variants(count)
        for batch in batches:
            crops = rng.integers(0, 256, (batch, contract.image_size, contract.image_size, 3), np.uint8)
            seconds = time_in_turns({name: partial(run, crops) for name, run in variants.items()}, rounds)
            for name, values in seconds.items():
                low, high = np.percentile(values, [10, 90])
                ratio = statistics.median(b / v for b, v in zip(seconds[BASE], values, strict=True))
                middle = statistics.median(values)
                found.append(Timing(name, count, batch, 1000 * middle, 1000 * float(low), 1000 * float(high), ratio))
    return found


def bundle_variants(bundle: Path, manifest: Manifest, threads: int) -> dict[str, Run]:
    """Return the networks of a bundle in ONNX Runtime, and in OpenVINO where it is installed."""
    variants: dict[str, Run] = {}
    files = {p: bundle / name for p, name in PRECISIONS.items() if name in manifest.files}
    for precision, path in files.items():
        session = open_session(path, threads=threads)
        variants[f"ONNX {precision.upper()}"] = partial(feed, session, contract=manifest.contract)
    if importlib.util.find_spec("openvino"):
        for precision, path in files.items():
            variants[f"OpenVINO {precision.upper()}"] = _openvino(path, manifest, threads)
    return variants


def torch_variants(checkpoint: str | Path, threads: int) -> dict[str, Run]:
    """Return the training form and the reparameterised form in eager PyTorch."""
    import torch

    from smart_retail.models.load import load_model
    from smart_retail.models.reparameterise import reparameterise

    torch.set_num_threads(threads)
    network = load_model(checkpoint)
    size = network.contract.image_size
    fused = reparameterise(network, torch.zeros(1, 3, size, size))

    def run(module: torch.nn.Module, crops: np.ndarray) -> object:
        with torch.inference_mode():
            return module(torch.from_numpy(normalise(crops, network.contract)))

    return {"PyTorch": partial(run, network), "PyTorch reparameterised": partial(run, fused)}


def _openvino(path: Path, manifest: Manifest, threads: int) -> Run:
    import openvino

    core = openvino.Core()
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(path), "CPU", settings)

    def run(crops: np.ndarray) -> object:
        images = crops if manifest.input == "uint8" else normalise(crops, manifest.contract)
        return compiled(images)

    return run
