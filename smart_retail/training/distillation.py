"""Learning from teachers: frozen networks that give soft targets for every face, labelled or not.

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
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn import functional as F

from smart_retail.contract import Contract
from smart_retail.data.labels import Labels, has_label
from smart_retail.data.soft_targets import SoftTargets
from smart_retail.errors import ConfigError
from smart_retail.models.load import load_model
from smart_retail.models.network import FaceNet, RawOutputs
from smart_retail.tasks import TASKS, Task
from smart_retail.training.losses import masked_mean


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
        """Return which of the teachers' tasks a student can learn from them alone."""
        return taught if self.faces == "all" and self.share > 0 else ()

    def mix(self, losses: Mapping[str, Tensor], soft: Mapping[str, Tensor], taught: Sequence[str]) -> dict[str, Tensor]:
        """Return by task the losses against labels mixed with the soft ones, and those as ``soft_<task>``.

        Args:
            losses: against the labels.
            soft: against the soft targets.
            taught: tasks that have such targets; the others keep their loss.
        """
        shares = {task: self.share if task in taught else 0.0 for task in losses}
        mixed = {task: (1 - share) * losses[task] + share * soft[task] for task, share in shares.items()}
        return mixed | {f"soft_{task}": value for task, value in soft.items()}


def distillation_of(settings: Distillation | Mapping[str, Any] | None) -> Distillation:
    """Return settings as they are given, or read them as they travel in a checkpoint: plain, in older ones None."""
    return settings if isinstance(settings, Distillation) else Distillation(**(settings or {}))


def soft_losses(
    network: FaceNet,
    raw: RawOutputs,
    labels: Labels,
    soft: SoftTargets,
    settings: Distillation,
    *,
    over_ranks: bool = True,
) -> dict[str, Tensor]:
    """Return the scalar loss of each task against soft targets.

    Args:
        network: whose heads know their losses.
        raw: outputs of ``network.raw`` for B faces.
        labels: of these faces; they count with ``faces: labelled``.
        soft: probabilities, B rows; a row of zeros where there is no target for that face.
        settings: temperature and faces.
        over_ranks: see ``masked_mean``.
    """
    losses = {}
    for task in network.contract.tasks:
        target = soft[task.name]
        faces = network.head(task.name).soft_loss(raw.heads[task.name], target, settings.temperature)
        known = target.sum(1) > 0
        if settings.faces == "labelled":
            known = known & has_label(labels, task)
        losses[task.name] = masked_mean(faces, known, over_ranks=over_ranks)
    return losses


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


class TeacherOutputs(NamedTuple):
    """What teachers predict of B faces.

    Attributes:
        soft: the mean of their probabilities; zeros for a task without a teacher.
        features: (B, F_t) pooled features of each network.
    """

    soft: SoftTargets
    features: tuple[Tensor, ...]


def by_task(teachers: Sequence[str] | Mapping[str, str | Sequence[str]], tasks: Sequence[Task]) -> dict[str, list[str]]:
    """Return the checkpoints that teach each task: those of a list teach all.

    Raises:
        ConfigError: a task is unknown, or there is no teacher.
    """
    names = [task.name for task in tasks]
    if not isinstance(teachers, Mapping):
        teachers = dict.fromkeys(names, teachers)
    if unknown := sorted(set(teachers) - set(names)):
        raise ConfigError(f"model.teachers names {', '.join(unknown)}; tasks are {', '.join(names)}")
    listed = {task: [paths] if isinstance(paths, str) else list(paths) for task, paths in teachers.items()}
    if not any(listed.values()):
        raise ConfigError(f"model.teachers {teachers} has no teacher")
    return {task: listed[task] for task in names if listed.get(task)}


class Teachers:
    """Frozen networks whose probabilities are averaged.

    No ``nn.Module``, so that a training module that holds them neither saves nor trains them.
    """

    def __init__(
        self,
        teachers: Sequence[str] | Mapping[str, str | Sequence[str]],
        tasks: Sequence[Task] = TASKS,
        *,
        crop: str | None = None,
        compiled: bool = False,
    ) -> None:
        """Load networks, named as ``load_model`` takes them: a list for all tasks, or some by task.

        Of a list each teaches those of the student's tasks that it has itself, with the same classes.

        Args:
            teachers: their names.
            tasks: of the student.
            crop: how the faces are cut that the teachers get, to warn where they learnt from others.
            compiled: run them through ``torch.compile``.

        Raises:
            CheckpointError: a file is missing, damaged, or no model of this project.
            ConfigError: a task is unknown, a teacher does not have it, or there is no teacher.
        """
        listed = by_task(teachers, tasks)
        paths = list(dict.fromkeys(path for files in listed.values() for path in files))
        # channels_last: an EfficientNet-Lite0 takes 1.6 times as many faces a second (96 px, one thread, AVX2).
        networks = [load_model(path).requires_grad_(False) for path in paths]
        self.networks = [network.to(memory_format=torch.channels_last) for network in networks]
        self.raw = [torch.compile(network.raw) if compiled else network.raw for network in self.networks]
        self.widths = {task.name: task.width for task in tasks}
        classes = {task.name: task.classes for task in tasks}
        self.subjects = []
        for path, network in zip(paths, networks, strict=True):
            able = [t.name for t in network.contract.tasks if classes.get(t.name) == t.classes]
            asked = [task for task in listed if path in listed[task]]
            if lacking := [task for task in asked if task not in able] if isinstance(teachers, Mapping) else []:
                raise ConfigError(f"teacher {path} does not know {', '.join(lacking)} with the student's classes")
            self.subjects.append([task for task in asked if task in able])
        if crop and (other := {network.contract.crop for network in networks} - {crop}):
            rank_zero_warn(
                f"teachers that learnt from faces cut by data.crop {', '.join(other)} get faces cut by {crop} here; "
                "turned and tilted heads are new to them"
            )
        self.tasks = [task for task in listed if any(task in subjects for subjects in self.subjects)]
        if not self.tasks:
            raise ConfigError(f"no teacher of {', '.join(paths)} knows one of {', '.join(classes)} with these classes")

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that change with any weight."""
        digest = hashlib.blake2b(digest_size=8)
        for network, tasks in zip(self.networks, self.subjects, strict=True):
            digest.update(" ".join(tasks).encode())
            for name, value in network.state_dict().items():
                digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    @torch.no_grad()
    def __call__(self, images: Tensor, contract: Contract) -> TeacherOutputs:
        """Return the mean prediction on images as the student gets them.

        Args:
            images: (B, 3, S, S) float32, normalised as ``contract`` says.
            contract: of the student; where a teacher's differs, images are scaled and normalised anew.
        """
        predictions: dict[str, list[Tensor]] = {task: [] for task in self.widths}
        features = []
        for network, run, tasks in zip(self.networks, self.raw, self.subjects, strict=True):
            if next(network.parameters()).device != images.device:
                network.to(images.device)
            fed = fed_as(images, contract, network.contract)
            raw: RawOutputs = run(fed.contiguous(memory_format=torch.channels_last))
            features.append(raw.features)
            for task in tasks:
                predictions[task].append(network.head(task).probabilities(raw.heads[task]))
        means = {
            task: torch.stack(each).mean(0) if each else images.new_zeros(len(images), self.widths[task])
            for task, each in predictions.items()
        }
        return TeacherOutputs(means, tuple(features))


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
