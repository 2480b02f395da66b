"""``smart-retail benchmark loader``: how fast images come, and whether the step waits for them."""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from lightning.fabric.utilities.apply_func import move_data_to_device

from smart_retail.data.datamodule import FaceDataModule, normalise
from smart_retail.data.images import read_image
from smart_retail.data.sampler import Draw
from smart_retail.timing import time_in_turns
from smart_retail.training.benchmark import WARM_UP, module_step, steps_a_round
from smart_retail.training.benchmark_table import device, device_name, report
from smart_retail.training.cli import read_settings
from smart_retail.training.module import FaceAttributeModule

LOADER_FACES = 500
"""Faces a round, on one core."""
LOADER_BATCHES = 20
"""Batches for which the loader with its processes is timed, or four for each process, if that is more."""


def run_loader(args: list[str]) -> None:
    """Time the loader of a config; ``args`` are its words, and ``--workers N``, ``--json``."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--workers")
    options, words = parser.parse_known_args(args)
    if options.workers is not None:
        words += ["--data.workers", options.workers]
    description = (
        "Time the loader of a config on one core beside the bare decoding; with --workers N (as data.workers) also "
        "with so many processes, beside the training step of the config on the device. --json prints JSON."
    )
    data, config = read_settings(words, "benchmark loader", description)
    seconds = time_in_turns(loader_pair(data), 10, 1, "loading")
    more = {} if options.workers is None else bottleneck(data, config)
    report(f"loader, one core, {data.image_size} px", seconds, LOADER_FACES, as_json=options.json, more=more)


def loader_pair(data: FaceDataModule) -> dict[str, Callable[[], None]]:
    """Return our whole loading (decode, crop, augment) and the bare decoding of the same files."""
    faces = data.dataset("train")
    rows = np.random.default_rng(0).integers(len(faces), size=LOADER_FACES)

    def load() -> None:
        for row in rows:
            _ = faces[Draw(int(row), data.image_size, int(row))]

    def decode() -> None:
        for row in rows:
            read_image(str(faces.paths[row]))

    return {"loader": load, "bare decode": decode}


def bottleneck(data: FaceDataModule, config: Mapping[str, Any]) -> dict[str, Any]:
    """Time the loader with its processes, then the step of a config's network (from random weights) on its batches."""
    loader = data.train_dataloader()
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    for _ in range(2 * data.workers + 1):  # those that lie ready
        batch = next(batches)
    start = time.perf_counter()
    images = sum(len(next(batches).row) for _ in range(max(LOADER_BATCHES, 4 * data.workers)))
    loads = images / (time.perf_counter() - start)
    module = FaceAttributeModule(**config["model"] | {"pretrained": False, "weights": None})
    batch = move_data_to_device(batch, device())
    batch = batch._replace(image=normalise(batch.image, data.contract))
    step = module_step(module, batch, bf16=config["trainer"]["precision"] == "bf16-mixed")
    spent = [one.wall for one in time_in_turns({"step": step}, 5, WARM_UP, "training steps")["step"]]
    learns = len(batch.row) * steps_a_round() / statistics.median(spent)
    slower = "loader" if loads < learns else "step"
    verdict = (
        f"the {slower} is the bottleneck: the loader brings {loads:,.0f} images a second with {data.workers} "
        f"processes, the step takes {learns:,.0f} (batch {len(batch.row)}; device: {device_name()})"
    )
    rates = {"loader_images_per_second": loads, "step_images_per_second": learns, "workers": data.workers}
    return rates | {"bottleneck": slower, "verdict": verdict}
