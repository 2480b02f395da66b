"""What is measured of each task, over all faces and for each data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanMetric, Metric, SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from smart_retail.data.dataset import FaceBatch
from smart_retail.data.labels import Labels, has_label
from smart_retail.models.heads import years_outside
from smart_retail.tasks import CUMULATIVE_YEARS, TASKS, Task
from smart_retail.training.losses import TaskWeights

STAGES = ("train", "val", "test")
OVERALL = "overall"
PREFIX = "of_"
"""A ModuleDict refuses keys that are attributes of a module, as a data set called ``train``."""


class MeanOf(MeanMetric):
    """The mean over faces of what a function makes of their predictions and labels, (N,) each."""

    def __init__(self, figure: Callable[..., Tensor]) -> None:
        """Take the function, whose result is (N,)."""
        super().__init__()
        self.figure = figure

    def update(self, *compared: Tensor) -> None:  # type: ignore[override]
        """Add N faces."""
        super().update(self.figure(*compared).float())


def near(years: Tensor, age: Tensor) -> Tensor:
    """Return whether ages are off by at most five years (CS@5)."""
    return (years - age).abs() <= CUMULATIVE_YEARS


def inside(years: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return whether ages lie in ranges of whole years, both ends inside."""
    return years_outside(years, low, high) == 0


class Measure(NamedTuple):
    """One figure.

    Attributes:
        task: whose prediction is compared: its class (the largest logit) or its years.
        labels: columns that it is compared with, most often one.
        mask: column that tells for which faces there are such labels.
        metric: makes a torchmetrics metric whose ``update`` takes the prediction and the labels, (N,) each.
    """

    task: Task
    labels: tuple[str, ...]
    mask: str
    metric: Callable[[], Metric]


def measures_of(task: Task) -> dict[str, Measure]:
    """Return all figures of a task by name. One more is a line here, if ``columns_of`` has its labels."""
    name = task.name
    if not task.is_classes:
        exact, ends = ((name,), _mask(name)), (tuple(task.range_columns), _mask(task.range_labels))
        return {
            f"{name}_mae": Measure(task, *exact, MeanAbsoluteError),
            f"{name}_cs5": Measure(task, *exact, partial(MeanOf, near)),
            f"{name}_inside": Measure(task, *ends, partial(MeanOf, inside)),
            f"{name}_outside": Measure(task, *ends, partial(MeanOf, years_outside)),
        }
    count = len(task.classes)
    accuracy = partial(MulticlassAccuracy, count, average="micro")
    balanced = partial(MulticlassAccuracy if count == 2 else MulticlassF1Score, count, average="macro")
    found = {}
    for column in (name, *task.opinions):
        found[f"{column}_acc"] = Measure(task, (column,), _mask(column), accuracy)
        found[f"{column}_{'balanced_acc' if count == 2 else 'f1'}"] = Measure(task, (column,), _mask(column), balanced)
    return found


def _mask(column: str) -> str:
    return f"{column} mask"


def _labelled(task: str) -> str:
    """Name of the column that tells for which faces a task has a label of any kind."""
    return f"{task} labelled"


def columns_of(labels: Labels, tasks: Sequence[Task]) -> dict[str, Tensor]:
    """Return (B,) labels of a batch by name, and masks that tell which of them are there."""
    found = {}
    for task in tasks:
        for column in (task.name, *task.opinions):
            found[column], found[_mask(column)] = labels[column], labels[column] >= 0
        if not task.is_classes:
            nowhere = torch.full_like(labels[task.name], -1)
            ends = labels[task.range_labels].unbind(1) if task.range_labels in labels else (nowhere, nowhere)
            found |= dict(zip(task.range_columns, ends, strict=True)) | {_mask(task.range_labels): ends[0] >= 0}
        found[_labelled(task.name)] = has_label(labels, task)
    return found


class FaceMetrics(nn.Module):
    """The figures of ``measures_of`` and the mean losses.

    Only labels that exist count; a figure without any has no value rather than a wrong one.

    A step only keeps what was predicted and what was right. To choose the faces that have a label, a GPU would
    have to be waited for; that happens once, in ``compute``.
    """

    def __init__(self, tasks: Sequence[Task] = TASKS, datasets: Sequence[str] = ()) -> None:
        """Measure some tasks overall, and for each of ``datasets`` by its number in the batch."""
        super().__init__()
        self.tasks, self.datasets = tuple(tasks), list(datasets)
        self.measures = {name: measure for task in tasks for name, measure in measures_of(task).items()}
        # A single data set is the overall figure: said once.
        groups = [OVERALL, *(self.datasets if len(self.datasets) > 1 else [])]
        masks = dict.fromkeys([*(_labelled(t.name) for t in tasks), *(m.mask for m in self.measures.values())])
        self.groups = nn.ModuleDict(
            {PREFIX + group: nn.ModuleDict({n: m.metric() for n, m in self.measures.items()}) for group in groups}
        )
        self.counts = nn.ModuleDict(
            {PREFIX + group: nn.ModuleDict({m: SumMetric() for m in masks}) for group in groups}
        )
        self.losses = nn.ModuleDict({PREFIX + task.name: MeanMetric() for task in tasks})
        self.columns: list[str] = []
        self.kept: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: Any, batch: FaceBatch, losses: dict[str, Tensor]) -> None:
        """Keep one batch with the mean loss of each task.

        All in one new tensor of float32, in which numbers of classes are exact: the batch's own lie in memory
        that is shared with the loader's processes, of which a system gives so many pieces only.
        """
        given = outputs._asdict()
        predicted = [given[t.name].argmax(1) if t.is_classes else given[t.name].squeeze(1) for t in self.tasks]
        known = columns_of(batch.labels, self.tasks) | {"dataset": batch.dataset}
        self.columns = list(known)
        rows = torch.stack([column.detach().float() for column in (*predicted, *known.values())])
        self.kept.append((rows, torch.stack([losses[task.name].detach().float() for task in self.tasks])))

    def compute(self) -> dict[str, Tensor]:
        """Return ``loss_gender``, ``gender_acc``, ``<data set>/gender_acc``, ... where there are labels."""
        self._measure()
        values: dict[str, Tensor] = {}
        for key, metrics in self.groups.items():
            group = key.removeprefix(PREFIX)
            prefix = "" if group == OVERALL else f"{group}/"
            # Synchronised over the ranks, so that every rank logs the same keys.
            known = {mask for mask, count in _named(self.counts[key]) if count.compute() > 0}
            if group == OVERALL:
                losses = {name.removeprefix(PREFIX): loss for name, loss in _named(self.losses)}
                values |= {f"loss_{task}": loss.compute() for task, loss in losses.items() if _labelled(task) in known}
            values |= {
                prefix + name: metric.compute() for name, metric in _named(metrics) if self.measures[name].mask in known
            }
        return values

    def summary(self, weights: TaskWeights) -> dict[str, Tensor]:
        """Return what ``compute`` does with the weighted ``loss`` and the ``score``, and forget everything added."""
        values = self.compute()
        self.reset()
        if not values:
            return {}
        nothing = weights.get_buffer("fixed").new_zeros(())
        losses = {task.name: values.get(f"loss_{task.name}", nothing) for task in self.tasks}
        values["loss"] = weights(losses).detach()
        learnt = weights.with_weight()
        if (total := score(values, [task for task in self.tasks if task.name in learnt])) is not None:
            values["score"] = total
        return values

    def reset(self) -> None:
        """Forget everything added."""
        self.kept = []
        for metric in self.modules():
            if isinstance(metric, Metric):
                metric.reset()

    def _measure(self) -> None:
        """Hand what was kept to torchmetrics."""
        if not self.kept:
            return
        rows, self.kept = self.kept, []
        names = [*(f"predicted {task.name}" for task in self.tasks), *self.columns]
        self._measure_losses([dict(zip(names, batch, strict=True)) for batch, _ in rows], [loss for _, loss in rows])
        column = dict(zip(names, torch.cat([batch for batch, _ in rows], 1), strict=True))
        for key, metrics in self.groups.items():
            group = key.removeprefix(PREFIX)
            ours = column["dataset"] == self.datasets.index(group) if group != OVERALL else column["dataset"] >= 0
            for mask, count in _named(self.counts[key]):
                count.update((ours & (column[mask] > 0)).sum())
            for name, metric in _named(metrics):
                measure = self.measures[name]
                chosen = ours & (column[measure.mask] > 0)
                if chosen.any():
                    compared = [column[f"predicted {measure.task.name}"], *(column[n] for n in measure.labels)]
                    whole = measure.task.is_classes
                    metric.update(*(value[chosen].long() if whole else value[chosen] for value in compared))

    def _measure_losses(self, batches: list[dict[str, Tensor]], losses: list[Tensor]) -> None:
        for number, (name, metric) in enumerate(_named(self.losses)):
            labels = torch.stack([batch[_labelled(name.removeprefix(PREFIX))].sum() for batch in batches])
            if labels.any():
                metric.update(torch.stack(losses)[:, number], labels)


def _named(metrics: nn.Module) -> list[tuple[str, Metric]]:
    return [(name, metric) for name, metric in metrics.named_children() if isinstance(metric, Metric)]


def score(values: dict[str, Tensor], tasks: Sequence[Task] = TASKS) -> Tensor | None:
    """Return one number to choose a checkpoint by: the mean over those of ``tasks`` that were measured.

    Classes enter with their accuracy, an age with ``1 - MAE / 20 years`` (zero where one guesses about the median of
    the data): a year weighs as much as five points. Where ages are ranges alone, the share inside counts.
    """
    parts = []
    for task in tasks:
        if task.is_classes and (found := values.get(f"{task.name}_acc")) is not None:
            parts.append(found)
        elif (error := values.get(f"{task.name}_mae")) is not None:
            parts.append(1 - error / 20)
        elif (inside := values.get(f"{task.name}_inside")) is not None:
            parts.append(inside)
    return torch.stack([p.float() for p in parts]).mean() if parts else None
