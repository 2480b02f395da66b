"""Export to one ONNX file, compared with PyTorch on real faces before it counts."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from smart_retail.contract import Contract
from smart_retail.edge.manifest import output_names
from smart_retail.edge.runtime import BYTES, FLOAT, feed, normalise, open_session
from smart_retail.errors import ConfigError, ExportError
from smart_retail.files import write_aside
from smart_retail.models.heads import YearsDistribution
from smart_retail.models.network import FaceNet
from smart_retail.models.reparameterise import reparameterise
from smart_retail.quantise.graph import drop_notes, keep_outputs

FORMS = ("probabilities", "logits")
PARITY_SIZES = (1, 2, 5, 16)
"""Batch sizes at which both must agree: the traced one and others."""
CONTRACT = "contract"
"""Name of the contract in a file's metadata."""
PARITY = 1e-3
"""Largest allowed deviation, relative to the largest output; float32 gives about 1e-6."""


class DeployedNet(nn.Module):
    """A network with the input and the outputs that a bundle promises."""

    def __init__(
        self, network: Any, contract: Contract, *, source: str = FLOAT, form: str = "probabilities", ages: bool = False
    ) -> None:
        """Wrap a network.

        Args:
            network: has ``raw``, ``decode`` and ``heads`` of a ``FaceNet``.
            contract: of the network.
            source: ``float32`` for (B, 3, S, S) normalised, ``uint8`` for (B, S, S, 3) RGB as it is.
            form: ``probabilities`` or ``logits`` of classes.
            ages: also answer the (B, 101) distribution over the years.

        Raises:
            ConfigError: another source or form, or a distribution of a head that has none.
        """
        super().__init__()
        if source not in (FLOAT, BYTES) or form not in FORMS:
            raise ConfigError(f"input {source!r} is float32 or uint8, outputs {form!r} are probabilities or logits")
        years = [task.name for task in contract.tasks if not task.is_classes]
        if ages and not (years and all(isinstance(network.heads[name], YearsDistribution) for name in years)):
            raise ConfigError(
                "this network has no age distribution: its age head is a plain regression, or it has none"
            )
        self.network, self.source, self.form = network, source, form
        self.classes = [task.name for task in contract.tasks if task.is_classes]
        self.distributions = years if ages else []
        self.names = output_names(contract.tasks, distributions=ages)
        self.register_buffer("mean", torch.tensor(contract.mean).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(contract.std).view(3, 1, 1) * 255, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Judge B faces; returns (B, classes) or (B, 1) years by task, then the (B, 101) years if asked for."""
        if self.source == BYTES:
            images = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std  # type: ignore[operator]
        raw = self.network.raw(images)
        answers = self.network.decode(raw)._asdict()
        if self.form == "probabilities":
            answers |= {name: answers[name].softmax(1) for name in self.classes}
        return (*answers.values(), *(raw.heads[name].softmax(1) for name in self.distributions))


def export_network(
    network: FaceNet, path: Path, crops: np.ndarray, *, source: str = FLOAT, form: str = "probabilities", ages: bool
) -> float:
    """Write the reparameterised network as one ONNX file with a dynamic batch.

    Args:
        network: trained, with its contract.
        path: file to write.
        crops: (N, S, S, 3) uint8 RGB real faces to compare on.
        source: see ``DeployedNet``.
        form: see ``DeployedNet``.
        ages: see ``DeployedNet``.

    Returns:
        Largest deviation of ONNX Runtime from PyTorch, relative to the largest output.

    Raises:
        ExportError: the network cannot be exported, or the file deviates.
    """
    images = torch.from_numpy(normalise(crops[:2], network.contract))
    fused = reparameterise(network, images)
    deployed = DeployedNet(fused, network.contract, source=source, form=form, ages=ages).eval()
    with write_aside(path) as aside:
        write_onnx(deployed, aside, crops, network.contract)
        return compare(deployed, aside, crops, network.contract)


def write_onnx(deployed: DeployedNet, path: Path, crops: np.ndarray, contract: Contract) -> None:
    """Trace with a batch of two and write, with the contract in the metadata."""
    import onnx

    example = model_input(deployed, crops[:2], contract)
    # Tracing needs a batch of two, or torch takes its size for a constant.
    if len(example) < 2:
        example = torch.cat([example, example])
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                deployed,
                (example,),
                str(path),
                input_names=["images"],
                output_names=list(deployed.names),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                external_data=False,
                dynamo=True,
                verbose=False,
            )
    except OSError:  # a full disk says nothing of the network
        raise
    except Exception as error:  # the exporter lets through whatever a backbone's graph provokes
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ExportError(f"this network cannot be exported to ONNX: {line[:200]}") from error
    model = onnx.load(path)
    drop_notes(model)
    values = {CONTRACT: json.dumps(contract.to_dict()), "input": deployed.source, "form": deployed.form}
    onnx.helper.set_model_props(model, values)
    onnx.save(model, path)


def keep_tasks(path: Path, contract: Contract, *, ages: bool) -> None:
    """Drop from a file all heads that are not in a contract; those that stay answer the same, to the bit."""
    import onnx

    model = onnx.load(path)
    keep_outputs(model, output_names(contract.tasks, distributions=ages))
    (entry,) = (entry for entry in model.metadata_props if entry.key == CONTRACT)
    entry.value = json.dumps(contract.to_dict())
    onnx.save(model, path)


def model_input(deployed: DeployedNet, crops: np.ndarray, contract: Contract) -> Tensor:
    """Return (N, S, S, 3) uint8 crops as the network takes them."""
    return torch.from_numpy(crops if deployed.source == BYTES else normalise(crops, contract))


@torch.no_grad()
def compare(
    deployed: DeployedNet,
    path: Path,
    crops: np.ndarray,
    contract: Contract,
    sizes: Sequence[int] = PARITY_SIZES,
    tolerance: float = PARITY,
) -> float:
    """Compare an ONNX file with PyTorch at several batch sizes.

    Returns:
        Largest deviation, relative to the largest output.

    Raises:
        ExportError: it is beyond the tolerance.
    """
    session = open_session(path)
    worst = 0.0
    for size in sizes:
        batch = crops[np.arange(size) % len(crops)]
        expected = dict(zip(deployed.names, deployed(model_input(deployed, batch, contract)), strict=True))
        for name, value in feed(session, batch, contract).items():
            reference = expected[name].numpy()
            deviation = float(np.abs(value - reference).max() / max(1.0, float(np.abs(reference).max())))
            if not deviation <= tolerance:
                raise ExportError(
                    f"ONNX deviates from PyTorch by {deviation:.1e} in {name} at batch {size} "
                    f"(allowed: {tolerance:.0e}); nothing was written"
                )
            worst = max(worst, deviation)
    return worst
