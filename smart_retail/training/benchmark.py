"""``smart-retail benchmark``: images a second of the training step and of the loader, paired."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from lightning.fabric.utilities.apply_func import move_data_to_device
from torch import nn

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

KINDS = """smart-retail benchmark step    images a second of the training step
smart-retail benchmark loader  of reading, cropping and augmenting the faces of a config; with --workers N also
                               what bounds a training, the loader or the step
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
        # Here, not above: it takes the step from this module.
        from smart_retail.training.benchmark_loader import run_loader

        run_loader(args[1:])
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
    parser.add_argument("--compile", action="store_true", help="time our step with model.compile as well (minutes)")
    parser.add_argument("--teacher", help="a checkpoint: time our step with it in every step, and with its stored word")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(args)
    if min(options.threads, options.rounds, options.batch_size) < 1:
        raise ConfigError("--threads, --rounds and --batch-size must be 1 or more")
    if options.image_size < 32:
        raise ConfigError(f"--image-size {options.image_size} is too small: backbones shrink images 32 times")
    if options.teacher and (options.bf16 or options.compile):
        raise ConfigError("--teacher and --bf16, --compile: steps with a teacher are timed plain only; leave it out")
    torch.set_num_threads(options.threads)
    if options.teacher:
        steps = taught_steps(options.backbone, options.image_size, options.batch_size, options.teacher)
    else:
        steps = step_pair(
            options.backbone, options.image_size, options.batch_size, bf16=options.bf16, compiled=options.compile
        )
    seconds = time_in_turns(steps, options.rounds, WARM_UP, "training steps")
    title = f"training step, {options.image_size} px, batch {options.batch_size}"
    report(title, seconds, options.batch_size * steps_a_round(), as_json=options.json)


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
    if compiled:
        steps[f"{OURS}, compiled"] = ours(compiled=True)
    if bf16:
        steps[f"{OURS}, bf16-mixed"] = ours(bf16=True)
    if bf16 and compiled:
        steps[f"{OURS}, bf16-mixed, compiled"] = ours(bf16=True, compiled=True)
    return steps


def taught_steps(backbone: str, image_size: int, batch_size: int, teacher: str) -> dict[str, Callable[[], None]]:
    """Return our step without a teacher, with its stored soft labels, and with the teacher in every step."""
    batch = _random_batch(image_size, batch_size)
    alone, student = (FaceAttributeModule(backbone, image_size=image_size) for _ in range(2))
    online = FaceAttributeModule(backbone, image_size=image_size, teachers=[teacher])
    assert online.teachers is not None
    stored = batch._replace(soft=online.teachers(batch.image, online.contract).soft)
    return {
        "no teacher": module_step(alone, batch),
        "stored soft labels": module_step(student, stored),
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
            return module.judge(batch, "train")[0]

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
