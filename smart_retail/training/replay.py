"""``smart-retail replay``: the step at which a training diverged, once more and under a lens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from rich.console import Console
from rich.table import Table
from torch import nn

from smart_retail.arguments import command_parser, parse
from smart_retail.data.dataset import FaceBatch
from smart_retail.data.labels import has_label
from smart_retail.errors import CheckpointError
from smart_retail.models.checkpoint import check_weights, read_checkpoint
from smart_retail.models.fake_quantise import is_fake_quantised
from smart_retail.own_code import look_up
from smart_retail.training.losses import task_losses
from smart_retail.training.module import FaceAttributeModule


def replay(args: Sequence[str]) -> None:
    """Show where the numbers end; ``args`` are the words after ``replay``.

    Raises:
        CheckpointError: the file is none that a diverged training leaves, or of quantisation-aware training.
    """
    parser = command_parser(
        "replay",
        "Run the step at which a training stopped once more, with the same weights, images and random numbers, and "
        "show the loss of each face, and the first layer whose output is no number.",
        imports=True,
    )
    parser.add_argument("file", type=str, help="<run>/diverged/step_N_rank_R.pt")
    path = parse(parser, args).file
    content = read_checkpoint(path)
    if not {"batch", "random_state", "files"} <= set(content):
        raise CheckpointError(f"{path} is no file of a diverged training; those lie in <run>/diverged")
    if is_fake_quantised(content["state_dict"]):
        raise CheckpointError(
            f"{path} is of quantisation-aware training, and does not tell how its step rounded: it cannot be "
            "replayed; the .txt file beside it names the images"
        )
    if "labels" not in content["batch"]:
        raise CheckpointError(f"{path} was left by an earlier version; replay it with that one")
    module, batch = restore(content)
    odd = {name for name, value in module.named_parameters() if not torch.isfinite(value).all()}
    layers = watch(module.net)
    torch.set_rng_state(content["random_state"])
    loss, losses, _ = module.step(batch, "train")
    first = next(iter(layers), "none")
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [n for n, p in module.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
    torch.set_rng_state(content["random_state"])
    console = Console()
    console.print(face_table(module, batch, content["files"]))
    console.print(f"step {content['step']}: loss {float(loss)} ({_spelt(losses)})", soft_wrap=True)
    console.print(f"weights that are no numbers: {_few(sorted(odd))}", soft_wrap=True)
    console.print(f"first layer whose output is no number: {first}", soft_wrap=True)
    console.print(f"gradients that are no numbers: {_few(gradients)}", soft_wrap=True)


def restore(content: dict[str, Any]) -> tuple[FaceAttributeModule, FaceBatch]:
    """Return the module and the batch as they were before the step, from what ``read_checkpoint`` read.

    The batch norms' running averages alone are those after the forward pass; training does not use them.
    """
    kind = look_up(content["module"], FaceAttributeModule) if "module" in content else FaceAttributeModule
    module: FaceAttributeModule = kind(**content["hyper_parameters"] | {"pretrained": False, "init_weights": None})
    check_weights(content["state_dict"], module.state_dict(), "the file")
    module.load_state_dict(content["state_dict"])
    return module.train(), FaceBatch(**content["batch"])


def watch(network: nn.Module) -> dict[str, None]:
    """Return a dictionary that the next forward pass fills with the layers whose output is no number, in order."""
    found: dict[str, None] = {}

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and not torch.isfinite(output).all():
                found.setdefault(name)

        return hook

    for name, layer in network.named_modules():
        if not list(layer.children()):
            layer.register_forward_hook(note(name))
    return found


def face_table(module: FaceAttributeModule, batch: FaceBatch, files: Sequence[str]) -> Table:
    """Return the losses of single faces (within the whole batch), those that are no numbers or largest first."""
    rows = []
    with torch.no_grad():
        raw = module.net.raw(batch.image)
        for i, file in enumerate(files):
            labels, alone = apply_to_collection(
                (batch.labels, raw), torch.Tensor, lambda values, i=i: values[i : i + 1]
            )
            losses = task_losses(module.net, alone, labels, 0.0, over_ranks=False)
            known = {t.name: float(losses[t.name]) for t in module.contract.tasks if has_label(labels, t)[0]}
            rows.append((file, bool(torch.isfinite(batch.image[i]).all()), known))
    rows.sort(key=lambda row: -max((v if math.isfinite(v) else math.inf for v in row[2].values()), default=0.0))
    table = Table(title="losses of each face", title_justify="left")
    for column in ("file", "image", *losses):
        table.add_column(column, overflow="fold")
    for file, fine, known in rows:
        table.add_row(
            file, "fine" if fine else "no numbers", *(f"{known[t]:.4g}" if t in known else "" for t in losses)
        )
    return table


def _spelt(losses: dict[str, torch.Tensor]) -> str:
    return ", ".join(f"{task} {float(value):.4g}" for task, value in losses.items())


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if names else "none"
