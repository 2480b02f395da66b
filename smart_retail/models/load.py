"""Reading trained networks from ``model.pth`` and from Lightning's checkpoints, without unpickling."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from smart_retail.config_files import training_config
from smart_retail.contract import Contract
from smart_retail.edge.manifest import NAME as MANIFEST
from smart_retail.edge.manifest import PRECISIONS, read_manifest
from smart_retail.edge.pretrained import available, find_bundle
from smart_retail.errors import CheckpointError, one_line
from smart_retail.models.bounded import ACTIVATION_LIMIT
from smart_retail.models.checkpoint import check_weights, network_weights, read_checkpoint, renamed
from smart_retail.models.fake_quantise import fake_quantise, is_fake_quantised
from smart_retail.models.freed_memory import keep_freed_memory
from smart_retail.models.network import FaceNet
from smart_retail.models.pretrained import start_from
from smart_retail.tasks import TASKS, tasks_of


def network_from(settings: Mapping[str, Any], *, pretrained: bool | None = None) -> FaceNet:
    """Build the network that a training module's settings describe.

    Args:
        settings: hyper-parameters of ``FaceAttributeModule``.
        pretrained: overrides the setting; False where weights are loaded afterwards anyway (then
            ``init_weights`` is not read either).
    """
    keep_freed_memory()
    return FaceNet(
        settings["backbone"],
        tasks=tasks_of(settings.get("tasks")),
        pretrained=settings["pretrained"] if pretrained is None else pretrained,
        init_weights=settings.get("init_weights") if pretrained is None else None,
        reparameterised=settings.get("reparameterised", False),
        dropout=settings["dropout"],
        age=settings["age_head"],
        age_sigma=settings["age_sigma"],
        heads=settings.get("heads"),
        identity_start=settings["identity_start"],
        activation_limit=settings.get("activation_limit", ACTIVATION_LIMIT),
        image_size=settings.get("image_size"),
    )


def load_model(path: str | Path | None = None) -> FaceNet:
    """Load a trained network for inference.

    Args:
        path: a run's folder (of which the best network is taken), ``model.pth``, a checkpoint of ``fit`` (of which the
            averaged weights are taken), a ``.safetensors`` file of ``smart-retail weights``, a bundle's folder, or the
            name of a bundle that comes with the package; None for the network of the package.

    Returns:
        The network in eval mode on the CPU, with its ``contract`` as an attribute; after
        quantisation-aware training the fused one that rounds as INT8 does, of a bundle the fused one of its FP32.

    Raises:
        CheckpointError: the file is missing, damaged, or no model of this project.
        BundleError: the bundle is incomplete or altered, or the package has none of that name.
    """
    if path is None or (not Path(path).exists() and str(path) in available()) or (Path(path) / MANIFEST).is_file():
        return _of_bundle(find_bundle(path))
    return network_of(read_checkpoint(path), str(path))


def _of_bundle(folder: Path) -> FaceNet:
    """Return the FP32 network of a bundle, as it was reparameterised."""
    manifest = read_manifest(folder)
    settings = training_config(manifest.made_by).get("model")
    if not isinstance(settings, dict) or PRECISIONS["fp32"] not in manifest.files:
        raise CheckpointError(f"{folder} lacks model.onnx, or the config that its network was trained with")
    contract = manifest.contract
    tasks: dict[str, Any] = {task.name: None for task in TASKS if task.name not in contract.task_names}
    tasks |= {task.name: {k: v for k, v in task.to_dict().items() if k != "name"} for task in contract.tasks}
    network = network_from(settings | {"tasks": tasks, "reparameterised": True}, pretrained=False)
    if misfits := start_from(network, str(folder)):
        raise CheckpointError(f"{folder}: its network is not that of its config ({misfits[0]})")
    network.contract = contract
    return network.eval()


def network_of(content: Mapping[str, Any], path: str) -> FaceNet:
    """Like ``load_model``, of what was read from ``path``."""
    weights = _weights_of(content, path)
    try:
        network = network_from(content["hyper_parameters"], pretrained=False)
        if is_fake_quantised(weights):
            network = fake_quantise(network, bits=content.get("qat", {}).get("weight_bits", 8))
    except Exception as error:  # timm's constructors raise nearly anything on odd settings
        raise CheckpointError(f"{path}: its settings do not describe a network ({one_line(error)})") from error
    check_weights(weights, network.state_dict(), path)
    network.load_state_dict(weights)
    contract = Contract.from_dict(content["contract"])
    if [(t.name, t.classes) for t in contract.tasks] != [(t.name, t.classes) for t in network.contract.tasks]:
        raise CheckpointError(f"{path}: its contract and its settings tell of different tasks")
    network.contract = contract
    return network.eval()


def read_model(path: str | Path) -> dict[str, Any]:
    """Read the network's part of a checkpoint, a ``model.pth`` or a file of weights.

    Returns:
        ``model_state_dict`` (of a checkpoint the averaged weights), ``hyper_parameters``, ``contract``,
        ``made_by``, and ``qat`` after quantisation-aware training.

    Raises:
        CheckpointError: the file is missing, damaged, or no model of this project.
    """
    content = read_checkpoint(path)
    names = ("hyper_parameters", "contract", "made_by", "qat")
    kept: dict[str, Any] = {name: content[name] for name in names if content.get(name) is not None}
    return {"made_by": {}, **kept, "model_state_dict": _weights_of(content, str(path))}


def _weights_of(content: Mapping[str, Any], path: str) -> dict[str, Tensor]:
    """Return the network's weights of a ``model.pth`` or a checkpoint.

    Raises:
        CheckpointError: it has none, or lacks what tells of the network.
    """
    found, settings = content.get("model_state_dict"), content.get("hyper_parameters")
    state: Any = content.get("state_dict") if found is None else found
    named = isinstance(state, Mapping) and isinstance(settings, Mapping) and "contract" in content
    if not named or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()):
        state = {}
    if weights := renamed(network_weights(state) if found is None else state):
        return weights
    names = ", ".join(str(name)[:40] for name in list(content)[:5])
    raise CheckpointError(f"{path} is no model of smart_retail: it has {names}")
