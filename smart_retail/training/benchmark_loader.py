"""``smart-retail benchmark loader``: how fast images come, and whether the step waits for them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jsonargparse import ArgumentParser
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch.utils.data import DataLoader

from smart_retail.data.datamodule import FaceDataModule, normalise
from smart_retail.data.images import read_image
from smart_retail.data.sampler import Draw
from smart_retail.own_code import look_up
from smart_retail.timing import time_in_turns
from smart_retail.training.benchmark import WARM_UP, module_step, steps_a_round
from smart_retail.training.benchmark_table import device, device_name, report
from smart_retail.training.data_cli import parse_data
from smart_retail.training.module import FaceAttributeModule

LOADER_FACES = 500
"""Faces a round, on one core."""
LOADER_BATCHES = 20
"""Batches for which the loader with its processes is timed, or four for each process, if that is more."""


def loader(words: Sequence[str]) -> None:
    """Time the loader of a config; ``words`` are those after ``benchmark loader``."""
    description = "Time the loader of a config on one core beside the bare decoding of the same files."
    cli = parse_data(words, "benchmark loader", description, _add_options)
    data = cli.data()
    seconds = time_in_turns(loader_pair(data), 10, 1, "loading")
    more = bottleneck(data, cli.config.as_dict()) if cli.config.bottleneck else {}
    title = f"loader, one core, {data.image_size} px"
    report(title, seconds, LOADER_FACES, as_json=cli.config.format == "json", more=more)


def _add_options(parser: ArgumentParser) -> None:
    help_text = "also with its data.workers processes, beside the training step of the config: which of them waits"
    parser.add_argument("--bottleneck", type=bool, default=False, help=help_text)
    parser.add_argument("--format", type=Literal["table", "json"], default="table", help="of the figures")


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


def long_loader(data: FaceDataModule) -> DataLoader[Any]:
    """Return the training loader with one epoch that lasts beyond the measurement.

    At the end of an epoch processes run dry, and at the start of the next they fill up again: with few faces that would
    be most of what is timed.
    """
    faces = data.epoch_size or len(data.dataset("train"))
    data.batch_size = min(data.batch_size, faces)
    ready, timed = _batches(data.workers)
    # As many again as lie ready, so that all processes still work when the time is taken.
    data.epoch_size = max(faces, data.batch_size * (2 * ready + timed))
    return data.train_dataloader()


def _batches(workers: int) -> tuple[int, int]:
    """Return how many batches lie ready when the timing begins, and how many are timed."""
    return 2 * workers + 1, max(LOADER_BATCHES, 4 * workers)


def bottleneck(data: FaceDataModule, config: Mapping[str, Any]) -> dict[str, Any]:
    """Time the loader with its processes, then the step of a config's network (from random weights) on its batches."""
    batches = iter(long_loader(data))
    ready, timed = _batches(data.workers)
    for _ in range(ready):
        batch = next(batches)
    start = time.perf_counter()
    images = sum(len(next(batches).row) for _ in range(timed))
    loads = images / (time.perf_counter() - start)
    kind = look_up(config["module"], FaceAttributeModule) if config["module"] else FaceAttributeModule
    module = kind(**config["model"] | {"pretrained": False, "init_weights": None})
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
