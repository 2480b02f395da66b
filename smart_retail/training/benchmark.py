"""``smart-retail benchmark``: images a second of the training step and of the loader, paired."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.dataset import FaceBatch, FaceLabels
from smart_retail.data.images import read_image
from smart_retail.data.sampler import Draw
from smart_retail.errors import ConfigError
from smart_retail.labels import TASKS
from smart_retail.models.memory_layout import DecimatedConv2d
from smart_retail.timing import Seconds, time_in_turns
from smart_retail.training.cli import read_data
from smart_retail.training.losses import task_losses
from smart_retail.training.module import FaceAttributeModule

OURS, OURS_BF16, PLAIN = "this project", "this project, bf16-mixed", "plain loop"

KINDS = """smart-retail benchmark step    images a second of the training step
smart-retail benchmark loader  of reading, cropping and augmenting the faces of a config
smart-retail benchmark bundle  speed of a bundle in every runtime
with --help: the options of each"""


def run(args: list[str]) -> None:
    """Run ``step`` or ``loader``; ``args`` begins with its name.

    Raises:
        ConfigError: neither is named.
    """
    if args[:1] == ["step"]:
        _run_step(args[1:])
    elif args[:1] == ["loader"]:
        _run_loader(args[1:])
    elif args[:1] in (["-h"], ["--help"]):
        print(KINDS)
    else:
        raise ConfigError("say what to measure: smart-retail benchmark step, loader or bundle")


def _run_step(args: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="smart-retail benchmark step",
        description="A step (forward, losses, metrics, backward, optimiser) beside a plain PyTorch loop over the "
        "same network in the plain memory layout, without metrics, in turns. Images are random: only the time counts.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--backbone", default="mobileone_s2", help="a timm name")
    parser.add_argument("--image-size", type=int, default=224, help="side in pixels")
    parser.add_argument("--batch-size", type=int, default=16, help="images in a step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--rounds", type=int, default=10, help="steps of each kind")
    parser.add_argument("--bf16", action="store_true", help="time our step with trainer.precision bf16-mixed as well")
    parser.add_argument("--teacher", help="a checkpoint: time our step with it in every step, and with its stored word")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(args)
    if min(options.threads, options.rounds, options.batch_size) < 1:
        raise ConfigError("--threads, --rounds and --batch-size must be 1 or more")
    if options.image_size < 32:
        raise ConfigError(f"--image-size {options.image_size} is too small: backbones shrink images 32 times")
    if options.teacher and options.bf16:
        raise ConfigError("--teacher and --bf16: the steps with a teacher are timed in float32 only; leave one out")
    torch.set_num_threads(options.threads)
    if options.teacher:
        steps = taught_steps(options.backbone, options.image_size, options.batch_size, options.teacher)
    else:
        steps = step_pair(options.backbone, options.image_size, options.batch_size, bf16=options.bf16)
    seconds = time_in_turns(steps, options.rounds, 1, "training steps")
    _report(f"training step, {options.image_size} px, batch {options.batch_size}", seconds, options.batch_size, options)


def step_pair(backbone: str, image_size: int, batch_size: int, *, bf16: bool = False) -> dict[str, Callable[[], None]]:
    """Return two training steps on the same random batch, ours and the plain loop's; with ``bf16`` a third."""
    batch = _random_batch(image_size, batch_size)
    ours = FaceAttributeModule(backbone, image_size=image_size)
    plain = FaceAttributeModule(backbone, image_size=image_size, channels_last=False)
    for module in plain.modules():
        if type(module) is DecimatedConv2d:
            module.__class__ = nn.Conv2d  # type: ignore[assignment]

    def plain_loss() -> torch.Tensor:
        loss: torch.Tensor = plain.weights(task_losses(plain.net, plain.net.raw(batch.image), batch, 0.0))
        return loss

    steps = {OURS: _step(ours, lambda: ours.judge(batch, "train")[0]), PLAIN: _step(plain, plain_loss)}
    if bf16:
        mixed = FaceAttributeModule(backbone, image_size=image_size)

        def mixed_loss() -> torch.Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return mixed.judge(batch, "train")[0]

        steps[OURS_BF16] = _step(mixed, mixed_loss)
    return steps


def taught_steps(backbone: str, image_size: int, batch_size: int, teacher: str) -> dict[str, Callable[[], None]]:
    """Return our step without a teacher, with its stored soft labels, and with the teacher in every step."""
    batch = _random_batch(image_size, batch_size)
    alone = FaceAttributeModule(backbone, image_size=image_size)
    online = FaceAttributeModule(backbone, image_size=image_size, teachers=[teacher])
    assert online.teachers is not None
    stored = batch._replace(soft=online.teachers(batch.image, online.contract).soft)
    student = FaceAttributeModule(backbone, image_size=image_size)
    return {
        "no teacher": _step(alone, lambda: alone.judge(batch, "train")[0]),
        "stored soft labels": _step(student, lambda: student.judge(stored, "train")[0]),
        "teacher in every step": _step(online, lambda: online.judge(batch, "train")[0]),
    }


def _random_batch(image_size: int, batch_size: int) -> FaceBatch:
    mask = torch.ones(batch_size, dtype=torch.bool)
    labels = FaceLabels.none(batch_size)._asdict() | {f"{task}_mask": mask for task in TASKS}
    labels["age"] = torch.full((batch_size,), 30.0)
    images = torch.randn(batch_size, 3, image_size, image_size)
    return FaceBatch(image=images, row=torch.arange(batch_size), **labels)


def _step(module: FaceAttributeModule, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _run_loader(args: list[str]) -> None:
    as_json = "--json" in args
    data = read_data([word for word in args if word != "--json"], "benchmark loader", "Time the loader of a config.")
    seconds = time_in_turns(loader_pair(data), 10, 1, "loading")
    options = argparse.Namespace(json=as_json, threads=1)
    _report(f"loader, one core, {data.image_size} px", seconds, LOADER_FACES, options)


LOADER_FACES = 500
"""Faces a round."""


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


def _report(title: str, spent: dict[str, list[Seconds]], images: int, options: Any) -> None:
    seconds = {name: [one.wall for one in each] for name, each in spent.items()}
    first, *others = seconds
    ratios = {o: sorted(b / a for a, b in zip(seconds[first], seconds[o], strict=True)) for o in others}
    rates = {name: sorted(images / s for s in values) for name, values in seconds.items()}
    if options.json:
        rows = {n: {"min": v[0], "median": statistics.median(v), "max": v[-1]} for n, v in rates.items()}
        against = {o: {"min": r[0], "median": statistics.median(r), "max": r[-1]} for o, r in ratios.items()}
        print(json.dumps({"what": title, "threads": options.threads, "images_per_second": rows, "speedup": against}))
        return
    table = Table(title=f"{title}, threads: {options.threads}", title_justify="left")
    table.add_column("images a second")
    for column in ("min", "median", "max"):
        table.add_column(column, justify="right")
    for name, values in rates.items():
        table.add_row(name, *(f"{v:,.1f}" for v in (values[0], statistics.median(values), values[-1])))
    table.add_section()
    for other, r in ratios.items():
        pairs = (r[0], statistics.median(r), r[-1])
        table.add_row(f"{first} / {other}, pair by pair", *(f"{ratio:.2f}" for ratio in pairs))
    Console().print(table)
