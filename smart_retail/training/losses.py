"""Masked multi-task losses: each a mean over the labels that exist, on all ranks together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from smart_retail.data.labels import Labels, has_label
from smart_retail.errors import ConfigError
from smart_retail.models.network import FaceNet, RawOutputs
from smart_retail.own_code import look_up

Loss = Callable[[Tensor, Labels, float], Tensor]
"""Takes a head's output, the labels of B faces and the label smoothing; gives (B,) losses, any number without label."""
NONE: Mapping[str, Loss] = {}


def own_losses(names: Mapping[str, str] | None, tasks: Sequence[str]) -> dict[str, Loss]:
    """Return functions by task, of their full names.

    Raises:
        ConfigError: a task or a function is unknown.
    """
    if unknown := sorted(set(names or {}) - set(tasks)):
        raise ConfigError(f"model.losses names {', '.join(unknown)}; tasks are {', '.join(tasks)}")
    return {task: look_up(name) for task, name in (names or {}).items()}


def ranks() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def masked_mean(losses: Tensor, mask: Tensor, *, over_ranks: bool = True) -> Tensor:
    """Average (B,) losses over the True entries of a (B,) mask.

    Without any the result is zero and still connected to every parameter, as DDP needs it.

    Args:
        losses: (B,).
        mask: (B,) bool.
        over_ranks: under DDP, average over the labels of all ranks: gradients are averaged there, so
            each rank's sum is divided by the mean count. Collective: only where every rank has as
            many batches, as in training; an evaluation's ranks may not.
    """
    total = torch.where(mask, losses, torch.zeros_like(losses)).sum()
    count = mask.sum().to(losses.dtype)
    if over_ranks and ranks() > 1:
        dist.all_reduce(count)
        count = count / ranks()
    return total / count.clamp(min=1e-6)  # of no label 0 / 1e-6; a GPU would have to be asked whether there is one


def task_losses(
    network: FaceNet,
    raw: RawOutputs,
    labels: Labels,
    label_smoothing: float,
    *,
    over_ranks: bool = True,
    own: Mapping[str, Loss] = NONE,
) -> dict[str, Tensor]:
    """Return the scalar loss of each task.

    Args:
        network: whose heads know their losses.
        raw: outputs of ``network.raw`` for B faces.
        labels: of these faces, see ``data.labels``.
        label_smoothing: share of the target spread over all classes.
        over_ranks: see ``masked_mean``.
        own: by task a loss in place of the head's.
    """
    losses = {}
    for task in network.contract.tasks:
        loss = own.get(task.name) or network.head(task.name).loss
        faces = loss(raw.heads[task.name], labels, label_smoothing)
        losses[task.name] = masked_mean(faces, has_label(labels, task), over_ranks=over_ranks)
    return losses


class TaskWeights(nn.Module):
    """The weighted sum of the task losses, with fixed or learnt weights.

    Learnt weights are those of Kendall et al. 2018 (arXiv:1705.07115): a loss L enters as
    ``exp(-s) L + s / 2`` with one parameter s for each task, in the batches that have labels for it. A
    task of weight zero is left out, learnt or not.
    """

    def __init__(self, tasks: Sequence[str], weights: Mapping[str, float], *, learnt: bool) -> None:
        """Set the (initial) weight of each task.

        Raises:
            ConfigError: a weight is missing, unknown or negative, or all are zero.
        """
        super().__init__()
        if odd := sorted(set(weights) - set(tasks)):
            raise ConfigError(f"task_weights names {', '.join(odd)}; tasks are {', '.join(tasks)}")
        numbers = [float(weights.get(task, 1.0)) for task in tasks]
        if min(numbers) < 0 or not any(numbers):
            raise ConfigError(f"task_weights {dict(weights)} must not be negative, nor all zero")
        self.tasks, self.learnt = tuple(tasks), learnt
        values = torch.tensor(numbers)
        self.register_buffer("fixed", values, persistent=False)
        if learnt:
            self.log_variance = nn.Parameter(-torch.where(values > 0, values, 1.0).log())

    def check_labels(self, unlabelled: Sequence[str], taught: Sequence[str]) -> None:
        """Refuse tasks with a weight that nothing teaches.

        Args:
            unlabelled: tasks that no training face has a label for.
            taught: tasks that teachers can teach alone.

        Raises:
            ConfigError: there are such.
        """
        if silent := [task for task in self.with_weight() if task in unlabelled and task not in taught]:
            without = " ".join(f"--model.task_weights.{task}=0" for task in silent)
            raise ConfigError(
                f"no training face has a label for {', '.join(silent)}: add a source that has, a teacher that knows "
                f"it, or do without with {without}"
            )

    def with_weight(self) -> list[str]:
        """Return the tasks whose weight is above 0."""
        return [task for task, weight in zip(self.tasks, self.current().tolist(), strict=True) if weight > 0]

    def by_task(self) -> dict[str, Tensor]:
        """Return the current weights by task."""
        return dict(zip(self.tasks, self.current().detach(), strict=True))

    def current(self) -> Tensor:
        """Return a weight for each task, in their order."""
        fixed = self.get_buffer("fixed")
        return torch.exp(-self.log_variance) * (fixed > 0) if self.learnt else fixed

    def forward(self, losses: Mapping[str, Tensor], *, over_ranks: bool = False) -> Tensor:
        """Return the total loss; ``over_ranks`` as the losses were computed, see ``masked_mean``."""
        stacked = torch.stack([losses[task] for task in self.tasks])
        total = (self.current() * stacked).sum()
        if not self.learnt:
            return total
        # A loss of exactly zero is that of no label: without one nothing holds the weight back.
        present = (stacked.detach() > 0).float()
        if over_ranks and ranks() > 1:
            dist.all_reduce(present, op=dist.ReduceOp.MAX)
        return total + (self.log_variance * present * (self.get_buffer("fixed") > 0)).sum() / 2
