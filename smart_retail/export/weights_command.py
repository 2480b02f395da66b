"""``smart-retail weights``: a trained network as one small file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from smart_retail.arguments import command_parser, next_steps, parse
from smart_retail.errors import CheckpointError
from smart_retail.files import write_aside
from smart_retail.models.fake_quantise import is_fake_quantised
from smart_retail.models.load import network_of, read_model
from smart_retail.models.weights_file import PROVENANCE
from smart_retail.provenance import without_places
from smart_retail.runs import find_checkpoint


def weights(args: Sequence[str]) -> None:
    """Write the file; ``args`` are the words after ``weights``."""
    parser = command_parser(
        "weights",
        "Write a trained network as a safetensors file, its convolutions in float16. load_model, export --checkpoint "
        "and --model.init_weights read it; it tells what made it.",
        imports=True,
    )
    parser.add_argument("--checkpoint", type=str, required=True, help="a run's folder (its best), a .ckpt or model.pth")
    parser.add_argument("--output", type=Path, required=True, help="a .safetensors file")
    options = parse(parser, args)
    path = find_checkpoint(options.checkpoint, run="run")
    content = read_model(path)
    if is_fake_quantised(content["model_state_dict"]):
        raise CheckpointError(
            f"{path} is of quantisation-aware training: a file of weights has no place for its bits, nor for the float "
            f"network that INT8 is judged against; hand on its bundle (smart-retail export --checkpoint {path})"
        )
    network_of(content, str(path))  # only what can be loaded again is worth keeping
    write_weights(content, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB, of {path}")
    print(
        next_steps(
            f"fit --config ... --model.init_weights {options.output}", f"evaluate {options.output} --output report"
        )
    )


def write_weights(content: Mapping[str, Any], path: Path) -> None:
    """Write a network in half the size of ``model.pth``.

    Convolutions and linear layers are stored in float16, batch norms and biases in float32: the small
    variances of some channels would lose most of their digits.

    Args:
        content: what ``model.pth`` holds: ``model_state_dict``, ``hyper_parameters``, ``contract``, and
            ``made_by`` where known.
        path: a ``.safetensors`` file; written aside and renamed.

    Raises:
        CheckpointError: the name ends otherwise, so that it would not be read back.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path} must end in .safetensors")
    tensors = {
        name: (value.half() if value.is_floating_point() and value.ndim > 1 else value).contiguous()
        for name, value in content["model_state_dict"].items()
    }
    # Where weights started from is a place on one machine, and of no use once they are here.
    settings = dict(content["hyper_parameters"]) | {"init_weights": None, "pretrained": False}
    made_by = {name: value for name, value in (content.get("made_by") or {}).items() if name != "folder"}
    if made_by.get("config"):
        made_by["config"] = without_places(made_by["config"])
    provenance = {"hyper_parameters": settings, "contract": content["contract"], "made_by": made_by}
    with write_aside(path) as aside:
        save_file(tensors, aside, metadata={PROVENANCE: json.dumps(provenance)})
