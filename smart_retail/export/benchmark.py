"""One interface for every way to run a network, timed in turns on the same faces."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.contract import Contract
from smart_retail.edge.manifest import PRECISIONS, Manifest
from smart_retail.edge.onnx_runtime import OnnxRuntime
from smart_retail.edge.runtime import HALF, RUNTIMES, Feed, feed, normalise, open_session
from smart_retail.timing import time_in_turns

TITLES = {"onnxruntime": "ONNX", "openvino": "OpenVINO"}
BASE = "ONNX FP32"


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call, preprocessing included: everyone needs it.

    Attributes:
        variant: how the network ran.
        image_size: side of the faces in pixels.
        threads: of the call.
        batch: faces in it.
        median: by the clock, over the rounds.
        low: the 10th percentile.
        high: the 90th.
        processor: median of the processor time of all threads; on a busy machine it tells more.
        speedup: of ``ONNX FP32`` over this, median of the paired ratios.
        processor_speedup: the same in processor time.
    """

    variant: str
    image_size: int
    threads: int
    batch: int
    median: float
    low: float
    high: float
    processor: float
    speedup: float
    processor_speedup: float

    @property
    def faces_per_second(self) -> float:
        """Throughput at the median."""
        return 1000 * self.batch / self.median

    def to_dict(self) -> dict[str, Any]:
        """Return all values, the throughput among them."""
        return asdict(self) | {"faces_per_second": self.faces_per_second}


def measure(
    open_variants: Callable[[int], Mapping[str, Feed]],
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
    size = contract.image_size
    found = []
    for count in threads:
        variants = open_variants(count)
        for batch in batches:
            crops = rng.integers(0, 256, (batch, size, size, 3), np.uint8)
            spent = time_in_turns({name: partial(run, crops) for name, run in variants.items()}, rounds)
            seconds = {name: np.array(rows) for name, rows in spent.items()}
            for name, values in seconds.items():
                low, high = np.percentile(values[:, 0], [10, 90])
                wall, processor = 1000 * np.median(values, axis=0)
                ratios = np.median(seconds[BASE] / values, axis=0)
                spread = (1000 * float(low), 1000 * float(high), float(processor))
                found.append(Timing(name, size, count, batch, float(wall), *spread, *map(float, ratios)))
    return found


def bundle_variants(bundle: Path, manifest: Manifest, threads: int, providers: Sequence[str] = ()) -> dict[str, Feed]:
    """Return the networks of a bundle in each runtime that is installed, on the CPU, and in providers of ONNX Runtime.

    Args:
        bundle: the folder.
        manifest: of it.
        threads: of a call on the CPU.
        providers: of ONNX Runtime to time beside the CPU, each with the precisions that it is fast with.

    Raises:
        ConfigError: a provider is not there.
    """
    files = {p: bundle / name for p, name in PRECISIONS.items() if name in manifest.files}
    opened = {
        f"{TITLES.get(runtime, runtime)} {precision.upper()}": open_session(path, threads=threads, runtime=runtime)
        for runtime in RUNTIMES
        if importlib.util.find_spec(runtime)
        for precision, path in files.items()
    }
    for provider in providers:
        for precision in OnnxRuntime.precisions([provider]):
            path = files.get("fp32" if precision == HALF else precision)
            if path:
                opened[f"ONNX {precision.upper()} {provider}"] = open_session(
                    path, threads=threads, providers=provider, half=precision == HALF
                )
    return {name: partial(feed, session, contract=manifest.contract) for name, session in opened.items()}


def torch_variants(checkpoint: str | Path, threads: int) -> dict[str, Feed]:
    """Return the training form and the reparameterised form in eager PyTorch."""
    import torch

    from smart_retail.models.load import load_model
    from smart_retail.models.reparameterise import reparameterise

    torch.set_num_threads(threads)
    network = load_model(checkpoint)
    size = network.contract.image_size
    fused = reparameterise(network, torch.zeros(1, 3, size, size))

    def run(module: torch.nn.Module, crops: np.ndarray) -> dict[str, np.ndarray]:
        with torch.inference_mode():
            answers = module(torch.from_numpy(normalise(crops, network.contract)))
        return {name: values.numpy() for name, values in answers._asdict().items()}

    return {"PyTorch": partial(run, network), "PyTorch reparameterised": partial(run, fused)}
