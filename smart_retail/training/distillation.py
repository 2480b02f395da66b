"""Learning from teachers: frozen networks that speak on every face, labelled or not.

Hinton et al. 2015 (arXiv:1503.02531): the student follows the teacher's softened probabilities. With
partly labelled data this is more than smoothing: a face without an age label teaches age, and colour
faces teach emotion although only grey ones are labelled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from smart_retail.contract import Contract
from smart_retail.data.dataset import FaceBatch
from smart_retail.data.soft_labels import SoftLabels
from smart_retail.errors import ConfigError
from smart_retail.labels import TASKS
from smart_retail.models.load import load_model
from smart_retail.models.network import FaceNet, RawOutputs
from smart_retail.training.losses import masked_mean


@dataclass(frozen=True)
class Distillation:
    """How much a student follows its teachers.

    Attributes:
        share: of the soft loss in each task's loss; the labels have the rest.
        temperature: softens gender and emotion; their loss is multiplied by its square.
        faces: ``all``, or ``labelled`` ones only (to measure what the others bring).
    """

    share: float = 0.7
    temperature: float = 2.0
    faces: str = "all"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.share <= 1:
            raise ConfigError(f"distillation share {self.share} is outside 0 to 1")
        if self.temperature <= 0:
            raise ConfigError(f"distillation temperature {self.temperature} must be above 0")
        if self.faces not in ("all", "labelled"):
            raise ConfigError(f"distillation faces {self.faces!r} is none of all, labelled")


def distillation_of(settings: Mapping[str, Any] | None) -> Distillation:
    """Read plain settings, as they travel in a checkpoint.

    Raises:
        ConfigError: a name is unknown, or a value out of range.
    """
    known = {f.name for f in fields(Distillation)}
    if unknown := {str(name) for name in settings or {}} - known:
        raise ConfigError(f"model.distillation has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    return Distillation(**(settings or {}))


def soft_losses(
    network: FaceNet,
    raw: RawOutputs,
    batch: FaceBatch,
    soft: SoftLabels,
    settings: Distillation,
    *,
    over_ranks: bool = True,
) -> dict[str, Tensor]:
    """Return the scalar loss of each task against soft labels.

    Args:
        network: whose age head knows its loss.
        raw: outputs of ``network.raw`` for the batch.
        batch: whose masks count with ``faces: labelled``.
        soft: probabilities, B rows.
        settings: temperature and faces.
        over_ranks: see ``masked_mean``.
    """
    t = settings.temperature
    faces = {
        "gender": softened_divergence(raw.gender, soft.gender, t),
        "age": network.age.soft_loss(raw.age, soft.age),
        "emotion": softened_divergence(raw.emotion, soft.emotion, t),
    }
    every = torch.ones_like(batch.gender_mask)
    masks = {task: every if settings.faces == "all" else getattr(batch, f"{task}_mask") for task in TASKS}
    return {task: masked_mean(faces[task], masks[task], over_ranks=over_ranks) for task in TASKS}


def softened_divergence(logits: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Return (B,) Kullback-Leibler divergences at a temperature, times its square.

    Args:
        logits: (B, C) of the student.
        target: (B, C) probabilities of the teacher, at temperature 1.
        temperature: of both.
    """
    # Stored probabilities are float16: the smallest are exact zeros.
    softened = (target.clamp(min=1e-7).log() / temperature).log_softmax(1)
    student = (logits / temperature).log_softmax(1)
    return F.kl_div(student, softened, log_target=True, reduction="none").sum(1) * temperature**2


class Teachers:
    """Frozen networks whose probabilities are averaged.

    No ``nn.Module``, so that a training module that holds them neither saves nor trains them.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        """Load checkpoints, ``model.pth`` or safetensors files.

        Raises:
            CheckpointError: a file is missing, damaged, or no model of this project.
        """
        self.networks = [load_model(path).requires_grad_(False) for path in paths]

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any weight."""
        digest = hashlib.blake2b(digest_size=8)
        for network in self.networks:
            for name, value in network.state_dict().items():
                digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def __call__(self, images: Tensor, contract: Contract) -> SoftLabels:
        """Judge images as the student gets them.

        Args:
            images: (B, 3, S, S) float32, normalised as ``contract`` says.
            contract: of the student; where a teacher's differs, images are scaled and normalised anew.
        """
        said = []
        for network in self.networks:
            network.to(images.device)
            raw = network.raw(fed_as(images, contract, network.contract))
            said.append((raw.gender.softmax(1), network.age.probabilities(raw.age), raw.emotion.softmax(1)))
        return SoftLabels(*(torch.stack(task).mean(0) for task in zip(*said, strict=True)))


def fed_as(images: Tensor, theirs: Contract, ours: Contract) -> Tensor:
    """Turn images that follow one contract into what another one's network is fed with."""
    if (theirs.mean, theirs.std) != (ours.mean, ours.std):
        shape = (1, 3, 1, 1)
        pixels = images * images.new_tensor(theirs.std).view(shape) + images.new_tensor(theirs.mean).view(shape)
        images = (pixels - images.new_tensor(ours.mean).view(shape)) / images.new_tensor(ours.std).view(shape)
    if images.shape[-1] != ours.image_size:
        images = F.interpolate(images, size=ours.image_size, mode="bilinear", antialias=True)
    return images
