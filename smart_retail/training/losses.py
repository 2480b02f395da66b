"""Masked multi-task losses: each a mean over the labels that exist, on all ranks together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from smart_retail.data.dataset import FaceBatch
from smart_retail.errors import ConfigError
from smart_retail.labels import TASKS
from smart_retail.models.network import FaceNet, RawOutputs


def masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    """Average (B,) losses over the True entries of a (B,) mask.

    Without any the result is zero and still connected to every parameter, as DDP needs it. Under
    DDP the mean is over the labels of all ranks: gradients are averaged there, so each rank's sum is
    divided by the mean count.
    """
    total = torch.where(mask, losses, losses * 0).sum()
    count = mask.sum().to(losses.dtype)
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(count)
        count = count / dist.get_world_size()
    return total / count.clamp(min=1e-6) if count > 0 else total


def task_losses(network: FaceNet, raw: RawOutputs, batch: FaceBatch, label_smoothing: float) -> dict[str, Tensor]:
    """Return the scalar loss of each task.

    Labels are not smoothed for age: uniform mass on far years would pull the expectation.

    Args:
        network: whose age head knows its loss.
        raw: outputs of ``network.raw`` for the batch.
        batch: labels and masks.
        label_smoothing: share of the target spread over all classes, for gender and emotion.
    """
    smooth = {"reduction": "none", "label_smoothing": label_smoothing}
    return {
        "gender": masked_mean(F.cross_entropy(raw.gender, batch.gender, **smooth), batch.gender_mask),  # type: ignore[arg-type]
        "age": masked_mean(network.age.loss(raw.age, batch.age), batch.age_mask),
        "emotion": masked_mean(F.cross_entropy(raw.emotion, batch.emotion, **smooth), batch.emotion_mask),  # type: ignore[arg-type]
    }


class TaskWeights(nn.Module):
    """The weighted sum of the task losses, with fixed or learnt weights.

    Learnt weights are those of Kendall et al. 2018 (arXiv:1705.07115): a loss L enters as
    ``exp(-s) L + s / 2`` with one parameter s for each task.
    """

    def __init__(self, weights: Mapping[str, float], *, learnt: bool) -> None:
        """Set the (initial) weight of each task.

        Raises:
            ConfigError: a weight is missing, unknown, negative, or zero though learnt.
        """
        super().__init__()
        if set(weights) != set(TASKS):
            raise ConfigError(f"task_weights {dict(weights)} must name {', '.join(TASKS)}")
        values = torch.tensor([float(weights[task]) for task in TASKS])
        if (values < 0).any() or (values.sum() == 0) or (learnt and (values == 0).any()):
            raise ConfigError(f"task_weights {dict(weights)} must be positive (or zero for a fixed one)")
        self.learnt = learnt
        if learnt:
            self.log_variance = nn.Parameter(-values.log())
        else:
            self.register_buffer("fixed", values, persistent=False)

    def current(self) -> Tensor:
        """Return the (3,) weights, in the order of ``TASKS``."""
        return torch.exp(-self.log_variance) if self.learnt else self.get_buffer("fixed")

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return the total loss."""
        total = (self.current() * torch.stack([losses[task] for task in TASKS])).sum()
        return total + self.log_variance.sum() / 2 if self.learnt else total
