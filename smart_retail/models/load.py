"""Reading trained networks from ``model.pth`` and from Lightning's checkpoints, without unpickling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smart_retail.contract import Contract
from smart_retail.errors import CheckpointError, one_line
from smart_retail.models.bounded import ACTIVATION_LIMIT
from smart_retail.models.fake_quantise import fake_quantise, fuse, is_fake_quantised
from smart_retail.models.network import FaceNet
from smart_retail.models.weights_file import read_safetensors
from smart_retail.tasks import TASKS, tasks_of

PREFIX = "net."


def network_from(settings: Mapping[str, Any], *, pretrained: bool | None = None) -> FaceNet:
    """Build the network that a training module's settings describe.

    Args:
        settings: hyper-parameters of ``FaceAttributeModule``.
        pretrained: overrides the setting; False where weights are loaded afterwards anyway (then
            ``weights`` is not read either).
    """
    return FaceNet(
        settings["backbone"],
        tasks=tasks_of(settings.get("tasks")),
        pretrained=settings["pretrained"] if pretrained is None else pretrained,
        weights=settings.get("weights") if pretrained is None else None,
        dropout=settings["dropout"],
        age=settings["age_head"],
        age_sigma=settings["age_sigma"],
        identity_start=settings["identity_start"],
        activation_limit=settings.get("activation_limit", ACTIVATION_LIMIT),
        image_size=settings.get("image_size"),
    )


def load_model(path: str | Path) -> FaceNet:
    """Load a trained network for inference.

    Args:
        path: ``model.pth``, a checkpoint of ``fit`` (of which the averaged weights are taken), or a
            ``.safetensors`` file of ``smart-retail weights``.

    Returns:
        The network in eval mode on the CPU, with its ``contract`` as an attribute; after
        quantisation-aware training the fused one that rounds as INT8 does.

    Raises:
        CheckpointError: the file is missing, damaged, or no model of this project.
    """
    return network_of(read_checkpoint(path), str(path))


def network_of(content: Mapping[str, Any], path: str) -> FaceNet:
    """Like ``load_model``, of what was read from ``path``."""
    settings, weights = content.get("hyper_parameters"), _weights_of(content)
    if not isinstance(settings, Mapping) or "contract" not in content or not weights:
        raise CheckpointError(f"{path} is no model of smart_retail: it has {_names(content)}")
    try:
        network = network_from(settings, pretrained=False)
        if is_fake_quantised(weights):
            network = fake_quantise(fuse(network), bits=content.get("qat", {}).get("weight_bits", 8))
    except Exception as error:  # timm's constructors raise nearly anything on odd settings
        raise CheckpointError(f"{path}: its settings do not describe a network ({one_line(error)})") from error
    check_weights(weights, network.state_dict(), path)
    network.load_state_dict(weights)
    network.contract = Contract.from_dict(content["contract"])
    return network.eval()


def network_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's part of a training module's state."""
    return {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}


def renamed(state: Mapping[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Return weights under the names of this version; the first ones had no ``heads`` before those of a task."""
    first = tuple(f"{prefix}{task.name}." for task in TASKS)
    return {
        f"{prefix}heads.{name.removeprefix(prefix)}" if name.startswith(first) else name: value
        for name, value in state.items()
    }


def read_model(path: str | Path) -> dict[str, Any]:
    """Read the network's part of a checkpoint, a ``model.pth`` or a file of weights.

    Returns:
        ``model_state_dict`` (of a checkpoint the averaged weights), ``hyper_parameters``, ``contract``,
        ``made_by``, and ``qat`` after quantisation-aware training.

    Raises:
        CheckpointError: the file is missing, damaged, or no model of this project.
    """
    content = read_checkpoint(path)
    weights = _weights_of(content)
    if not weights or "hyper_parameters" not in content or "contract" not in content:
        raise CheckpointError(f"{path} is no model of smart_retail: it has {_names(content)}")
    return {
        "model_state_dict": weights,
        "hyper_parameters": content["hyper_parameters"],
        "contract": content["contract"],
        "made_by": content.get("made_by") or {},
        **({"qat": content["qat"]} if "qat" in content else {}),
    }


def _weights_of(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the network's weights of a ``model.pth`` or a checkpoint; empty where it has none."""
    found = content.get("model_state_dict")
    state = content.get("state_dict") if found is None else found
    if not (isinstance(state, Mapping) and all(isinstance(n, str) and isinstance(v, Tensor) for n, v in state.items())):
        return {}
    return renamed(network_weights(state) if found is None else state)


def _names(content: Mapping[str, Any]) -> str:
    return ", ".join(str(name)[:40] for name in list(content)[:5])


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a file of tensors and plain values; nothing else in it is ever executed.

    Raises:
        CheckpointError: it is missing, damaged, or holds anything else.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    content = read_safetensors(Path(path)) if Path(path).suffix == ".safetensors" else _load(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(content).__name__}")
    if not isinstance(made_by := content.get("made_by") or {}, dict):
        raise CheckpointError(f"{path}: made_by is a {type(made_by).__name__}, not a mapping")
    return content


def _load(path: str | Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises nearly anything on damaged files
        raise CheckpointError(f"{path} is damaged or no checkpoint: {one_line(error, 150)}") from error


def check_weights(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Compare names and shapes of weights with a network's.

    Raises:
        CheckpointError: they differ; names the first difference and how many there are.
    """
    missing, extra = expected.keys() - weights.keys(), weights.keys() - expected.keys()
    shapes = [
        f"{name} is {tuple(weights[name].shape)}, the network has {tuple(expected[name].shape)}"
        for name in expected.keys() & weights.keys()
        if weights[name].shape != expected[name].shape
    ]
    if missing or extra or shapes:
        first = min(shapes) if shapes else f"{min(missing or extra)} is {'missing' if missing else 'unknown'}"
        count = len(missing) + len(extra) + len(shapes)
        raise CheckpointError(
            f"{what} belongs to another network: {first} ({count} such differences); "
            "give the config that it was trained with, or another --ckpt_path"
        )
