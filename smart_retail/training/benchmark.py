"""``smart-retail benchmark step``: images a second of the training step, beside a plain loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import nn

from smart_retail.arguments import as_list, check_above, command_parser, parse
from smart_retail.data.dataset import FaceBatch
from smart_retail.data.labels import no_labels
from smart_retail.errors import ConfigError
from smart_retail.models.memory_layout import DecimatedConv2d
from smart_retail.tasks import TASKS
from smart_retail.timing import time_in_turns
from smart_retail.training.benchmark_table import device, report
from smart_retail.training.losses import task_losses
from smart_retail.training.module import FaceAttributeModule

OURS, PLAIN = "this project", "plain loop"
WARM_UP = 3
"""Rounds that do not count: the first compiles, and cuDNN chooses its kernels."""


def step(words: Sequence[str]) -> None:
    """Time the training step; ``words`` are those after ``benchmark step``."""
    parser = command_parser(
        "benchmark step",
        "A step (forward, losses, metrics, backward, optimiser) beside a plain PyTorch loop over the same network in "
        "the plain memory layout, without metrics, in turns. Images are random: only the time counts.",
        imports=True,
    )
    parser.add_argument("--backbone", type=str, default="mobileone_s2", help="a timm name")
    parser.add_argument("--image_size", type=int, default=224, help="side in pixels")
    parser.add_argument("--batch_size", type=int, default=16, help="images in a step")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--rounds", type=int, default=10, help="steps of each kind")
    parser.add_argument("--bf16", type=bool, default=False, help="time our step with precision bf16-mixed as well")
    parser.add_argument("--compile", type=bool, default=False, help="time it with model.compile as well (minutes)")
    parser.add_argument(
        "--teachers",
        type=str | list[str],
        help="checkpoints: time our step with them, and with their stored soft targets",
    )
    parser.add_argument("--format", type=Literal["table", "json"], default="table", help="of the figures")
    options = parse(parser, words)
    check_above(1, threads=options.threads, rounds=options.rounds, batch_size=options.batch_size)
    if options.image_size < 32:
        raise ConfigError(f"--image_size {options.image_size} is too small: backbones shrink images 32 times")
    if options.teachers and (options.bf16 or options.compile):
        raise ConfigError("--teachers and --bf16, --compile: steps with a teacher are timed plain only; leave it out")
    torch.set_num_threads(options.threads)
    if options.teachers:
        steps = taught_steps(options.backbone, options.image_size, options.batch_size, as_list(options.teachers))
    else:
        steps = step_pair(
            options.backbone, options.image_size, options.batch_size, bf16=options.bf16, compiled=options.compile
        )
    seconds = time_in_turns(steps, options.rounds, WARM_UP, "training steps")
    title = f"training step, {options.image_size} px, batch {options.batch_size}"
    report(title, seconds, options.batch_size * steps_a_round(), as_json=options.format == "json")


def step_pair(
    backbone: str, image_size: int, batch_size: int, *, bf16: bool = False, compiled: bool = False
) -> dict[str, Callable[[], None]]:
    """Return training steps on the same random batch: ours, the plain loop's, and ours as the switches say."""
    batch = _random_batch(image_size, batch_size)
    plain = FaceAttributeModule(backbone, image_size=image_size, channels_last=False)
    for module in plain.modules():
        if type(module) is DecimatedConv2d:
            module.__class__ = nn.Conv2d  # type: ignore[assignment]

    def plain_loss() -> torch.Tensor:
        loss: torch.Tensor = plain.weights(task_losses(plain.net, plain.net.raw(batch.image), batch.labels, 0.0))
        return loss

    def ours(*, bf16: bool = False, compiled: bool = False) -> Callable[[], None]:
        # What is compiled crashes on a CPU in the other layout.
        layout = device().type == "cuda" or not compiled
        module = FaceAttributeModule(backbone, image_size=image_size, channels_last=layout, compile=compiled)
        return module_step(module, batch, bf16=bf16)

    steps = {OURS: ours(), PLAIN: make_step(plain, plain_loss)}
    for compile_it, mixed in ((True, False), (False, True), (True, True)):
        if compile_it <= compiled and mixed <= bf16:
            name = OURS + ", bf16-mixed" * mixed + ", compiled" * compile_it
            steps[name] = ours(bf16=mixed, compiled=compile_it)
    return steps


def taught_steps(backbone: str, image_size: int, batch_size: int, teachers: list[str]) -> dict[str, Callable[[], None]]:
    """Return our step without a teacher, with its stored soft targets, and with the teacher in every step."""
    batch = _random_batch(image_size, batch_size)
    alone, student = (FaceAttributeModule(backbone, image_size=image_size) for _ in range(2))
    online = FaceAttributeModule(backbone, image_size=image_size, teachers=teachers)
    assert online.teachers is not None
    stored = batch._replace(soft=online.teachers(batch.image, online.contract).soft)
    return {
        "no teacher": module_step(alone, batch),
        "stored soft targets": module_step(student, stored),
        "teacher in every step": module_step(online, batch),
    }


def _random_batch(image_size: int, batch_size: int) -> FaceBatch:
    labels = {name: torch.zeros_like(values) for name, values in no_labels(batch_size, TASKS).items()}
    labels["age"] = torch.full((batch_size,), 30.0)
    images = torch.randn(batch_size, 3, image_size, image_size)
    batch = FaceBatch(images, labels, dataset=torch.zeros(batch_size, dtype=torch.int64), row=torch.arange(batch_size))
    moved: FaceBatch = move_data_to_device(batch, device())
    return moved


def module_step(module: FaceAttributeModule, batch: FaceBatch, *, bf16: bool = False) -> Callable[[], None]:
    """Return the step of a module on a batch that lies on the device."""

    def loss() -> torch.Tensor:
        with torch.autocast(device().type, torch.bfloat16, enabled=bf16):
            return module.step(batch, "train")[0]

    return make_step(module, loss)


def make_step(module: FaceAttributeModule, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """Return a round of steps on the device, which is waited for at its end."""
    module.to(device())
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-4)

    def steps() -> None:
        for _ in range(steps_a_round()):
            optimizer.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if device().type == "cuda":
            torch.cuda.synchronize()

    return steps


def steps_a_round() -> int:
    """Return 1, and on a GPU 10: while it works on a step, Python prepares the next."""
    return 10 if device().type == "cuda" else 1
