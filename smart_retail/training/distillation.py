"""Learning from teachers: frozen networks that speak on every face, labelled or not.

Hinton et al. 2015 (arXiv:1503.02531): the student follows the teacher's softened probabilities. With
partly labelled data this is more than smoothing: a face without an age label teaches age, and colour
faces teach emotion although only grey ones are labelled. Features: Romero et al. 2015 (arXiv:1412.6550).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smart_retail.contract import Contract
from smart_retail.data.dataset import FaceBatch
from smart_retail.data.soft_labels import WIDTHS, SoftLabels
from smart_retail.errors import ConfigError
from smart_retail.labels import TASKS
from smart_retail.models.load import load_model
from smart_retail.models.network import FaceNet, RawOutputs
from smart_retail.training.losses import label_masks, masked_mean


@dataclass(frozen=True)
class Distillation:
    """How much a student follows its teachers.

    Attributes:
        share: of the soft loss in each task's loss; the labels have the rest.
        temperature: softens gender and emotion; their loss is multiplied by its square.
        faces: ``all``, or ``labelled`` ones only (to measure what the others bring).
        features: weight of a loss that pulls the student's pooled features, through a linear layer that
            exists in training only, towards those of ``model.teachers``; 0 for none.
        feature_distance: ``cosine`` or ``l2`` (mean square).
    """

    share: float = 0.7
    temperature: float = 2.0
    faces: str = "all"
    features: float = 0.0
    feature_distance: str = "cosine"

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.share <= 1:
            raise ConfigError(f"distillation share {self.share} is outside 0 to 1")
        if self.temperature <= 0:
            raise ConfigError(f"distillation temperature {self.temperature} must be above 0")
        if self.faces not in ("all", "labelled"):
            raise ConfigError(f"distillation faces {self.faces!r} is none of all, labelled")
        if self.features < 0:
            raise ConfigError(f"distillation features {self.features} must not be negative")
        if self.feature_distance not in ("cosine", "l2"):
            raise ConfigError(f"distillation feature_distance {self.feature_distance!r} is none of cosine, l2")

    def tasks_without_labels(self, taught: Sequence[str]) -> Sequence[str]:
        """Return those of the tasks that teachers speak on which a student can learn from them alone."""
        return taught if self.faces == "all" and self.share > 0 else ()


def distillation_of(settings: Distillation | Mapping[str, Any] | None) -> Distillation:
    """Return settings as they are given, or read them as they travel in a checkpoint: plain, in older ones None."""
    return settings if isinstance(settings, Distillation) else Distillation(**(settings or {}))


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
        soft: probabilities, B rows; a row of zeros is no word on that face.
        settings: temperature and faces.
        over_ranks: see ``masked_mean``.
    """
    t = settings.temperature
    faces = {
        "gender": softened_divergence(raw.gender, soft.gender, t),
        "age": network.age.soft_loss(raw.age, soft.age),
        "emotion": softened_divergence(raw.emotion, soft.emotion, t),
    }
    masks = {task: word.sum(1) > 0 for task, word in soft._asdict().items()}
    if settings.faces == "labelled":
        labelled = label_masks(batch)
        masks = {task: spoken & labelled[task] for task, spoken in masks.items()}
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


class FeatureMatching(nn.Module):
    """The distance of a student's pooled features, projected linearly, from its teachers'."""

    def __init__(self, width: int, widths: Sequence[int], distance: str) -> None:
        """Make a projection for each teacher.

        Args:
            width: of the student's features.
            widths: of the teachers' features.
            distance: ``cosine`` or ``l2``.
        """
        super().__init__()
        self.projections = nn.ModuleList(nn.Linear(width, theirs) for theirs in widths)
        self.distance = distance

    def forward(self, features: Tensor, theirs: Sequence[Tensor]) -> Tensor:
        """Return the scalar mean over faces and teachers, of (B, F) and a (B, F_t) for each teacher."""
        losses = []
        for projection, wanted in zip(self.projections, theirs, strict=True):
            ours = projection(features)
            cosine = self.distance == "cosine"
            losses.append(1 - F.cosine_similarity(ours, wanted).mean() if cosine else F.mse_loss(ours, wanted))
        return torch.stack(losses).mean()


class Word(NamedTuple):
    """What teachers say of B faces.

    Attributes:
        soft: the mean of their probabilities; zeros for a task without a teacher.
        features: (B, F_t) pooled features of each network.
    """

    soft: SoftLabels
    features: tuple[Tensor, ...]


def by_task(teachers: Sequence[str] | Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """Return the checkpoints that speak on each task: those of a list speak on all.

    Raises:
        ConfigError: a task is unknown, or there is no teacher.
    """
    if not isinstance(teachers, Mapping):
        teachers = dict.fromkeys(TASKS, teachers)
    if unknown := sorted(set(teachers) - set(TASKS)):
        raise ConfigError(f"model.teachers names {', '.join(unknown)}; tasks are {', '.join(TASKS)}")
    listed = {task: [paths] if isinstance(paths, str) else list(paths) for task, paths in teachers.items()}
    if not any(listed.values()):
        raise ConfigError(f"model.teachers {teachers} has no teacher")
    return {task: listed[task] for task in TASKS if listed.get(task)}


class Teachers:
    """Frozen networks whose probabilities are averaged.

    No ``nn.Module``, so that a training module that holds them neither saves nor trains them.
    """

    def __init__(self, teachers: Sequence[str] | Mapping[str, str | Sequence[str]], *, compiled: bool = False) -> None:
        """Load checkpoints, ``model.pth`` or safetensors files: a list for all tasks, or some by task.

        Args:
            teachers: the files.
            compiled: run them through ``torch.compile``.

        Raises:
            CheckpointError: a file is missing, damaged, or no model of this project.
            ConfigError: a task is unknown, or there is no teacher.
        """
        listed = by_task(teachers)
        self.tasks = list(listed)
        paths = list(dict.fromkeys(path for files in listed.values() for path in files))
        # channels_last: an EfficientNet-Lite0 judges 1.6 times as many faces a second (96 px, one thread, AVX2).
        networks = [load_model(path).requires_grad_(False) for path in paths]
        self.networks = [network.to(memory_format=torch.channels_last) for network in networks]
        self.raw = [torch.compile(network.raw) if compiled else network.raw for network in self.networks]
        self.subjects = [[task for task in self.tasks if path in listed[task]] for path in paths]

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any weight."""
        digest = hashlib.blake2b(digest_size=8)
        for network, tasks in zip(self.networks, self.subjects, strict=True):
            digest.update(" ".join(tasks).encode())
            for name, value in network.state_dict().items():
                digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def __call__(self, images: Tensor, contract: Contract) -> Word:
        """Judge images as the student gets them.

        Args:
            images: (B, 3, S, S) float32, normalised as ``contract`` says.
            contract: of the student; where a teacher's differs, images are scaled and normalised anew.
        """
        said: dict[str, list[Tensor]] = {task: [] for task in TASKS}
        features = []
        for network, run, tasks in zip(self.networks, self.raw, self.subjects, strict=True):
            if network.gender.weight.device != images.device:
                network.to(images.device)
            fed = fed_as(images, contract, network.contract)
            raw: RawOutputs = run(fed.contiguous(memory_format=torch.channels_last))
            features.append(raw.features)
            words = SoftLabels(raw.gender.softmax(1), network.age.probabilities(raw.age), raw.emotion.softmax(1))
            for task in tasks:
                said[task].append(getattr(words, task))
        means = {
            task: torch.stack(words).mean(0) if words else images.new_zeros(len(images), WIDTHS[task])
            for task, words in said.items()
        }
        return Word(SoftLabels(**means), tuple(features))


def fed_as(images: Tensor, theirs: Contract, ours: Contract) -> Tensor:
    """Turn images that follow one contract into what another one's network is fed with."""
    if (theirs.mean, theirs.std) != (ours.mean, ours.std):
        their_mean, their_std, our_mean, our_std = (
            torch.tensor(values).view(3, 1, 1).to(images, non_blocking=True)
            for values in (theirs.mean, theirs.std, ours.mean, ours.std)
        )
        images = (images * their_std + their_mean - our_mean) / our_std
    if images.shape[-1] != ours.image_size:
        images = F.interpolate(images, size=ours.image_size, mode="bilinear", antialias=True)
    return images
