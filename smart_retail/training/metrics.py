"""What is measured of each task, over all faces and for each data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanMetric, Metric, SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from smart_retail.data.dataset import FaceBatch
from smart_retail.labels import CUMULATIVE_YEARS, EMOTIONS, GENDERS, TASKS
from smart_retail.models.age import years_outside
from smart_retail.models.network import FaceOutputs
from smart_retail.training.losses import label_masks

OVERALL = "overall"
PREFIX = "of_"
"""A ModuleDict refuses keys that are attributes of a module, as a data set called ``train``."""


class CumulativeScore(MeanMetric):
    """Share of faces whose age is off by at most five years (CS@5)."""

    def update(self, years: Tensor, age: Tensor) -> None:  # type: ignore[override]
        """Add (N,) predictions and labels in years."""
        super().update(((years - age).abs() <= CUMULATIVE_YEARS).float())


class InsideRange(MeanMetric):
    """Share of faces whose age lies in a range of whole years."""

    def update(self, years: Tensor, low: Tensor, high: Tensor) -> None:  # type: ignore[override]
        """Add (N,) predictions, and the ends of the ranges, both inside."""
        super().update((years_outside(years, low, high) == 0).float())


class OutsideRange(MeanMetric):
    """Mean years by which ages lie outside a range of whole years."""

    def update(self, years: Tensor, low: Tensor, high: Tensor) -> None:  # type: ignore[override]
        """Add (N,) predictions, and the ends of the ranges, both inside."""
        super().update(years_outside(years, low, high))


class Count(SumMetric):
    """Number of labels seen; zero is an answer too."""

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()
        # torchmetrics warns where nothing was added; here that is the question.
        self._update_count = 1

    def reset(self) -> None:
        """Start again at zero."""
        super().reset()
        self._update_count = 1


class Measure(NamedTuple):
    """One figure.

    Attributes:
        prediction: a task: its class (the largest logit) or its years.
        labels: columns of the batch that the prediction is compared with, most often one.
        mask: column of the batch that tells for which faces there are such labels.
        metric: makes a torchmetrics metric whose ``update`` takes the prediction and the labels, (N,) each.
    """

    prediction: str
    labels: tuple[str, ...]
    mask: str
    metric: Callable[[], Metric]


_GENDER = ("gender", ("gender",), "gender_mask")
_AGE = ("age", ("age",), "age_mask")
_RANGE = ("age", ("age_low", "age_high"), "age_range_mask")
_ACCURACY = partial(MulticlassAccuracy, len(EMOTIONS), average="micro")
_F1 = partial(MulticlassF1Score, len(EMOTIONS), average="macro")
OPINIONS = ("emotion", "emotion_crowd", "emotion_original")
"""The emotion that is learnt, what most people say, and what the data set says."""
MEASURES = {
    "gender_acc": Measure(*_GENDER, partial(MulticlassAccuracy, len(GENDERS), average="micro")),
    "gender_balanced_acc": Measure(*_GENDER, partial(MulticlassAccuracy, len(GENDERS), average="macro")),
    "age_mae": Measure(*_AGE, MeanAbsoluteError),
    "age_cs5": Measure(*_AGE, CumulativeScore),
    "age_inside": Measure(*_RANGE, InsideRange),
    "age_outside": Measure(*_RANGE, OutsideRange),
    **{f"{name}_acc": Measure("emotion", (name,), f"{name}_mask", _ACCURACY) for name in OPINIONS},
    **{f"{name}_f1": Measure("emotion", (name,), f"{name}_mask", _F1) for name in OPINIONS},
}
"""All figures by name. One more is a line here, if ``columns_of`` has its labels."""
MASKS = {task: f"{task}_labelled" for task in TASKS}
"""Of the tasks' losses."""


def columns_of(batch: FaceBatch) -> dict[str, Tensor]:
    """Return (B,) labels and masks of a batch by name."""
    low, high = batch.age_range.unbind(1)
    opinions = {name: getattr(batch, name) for name in OPINIONS[1:]}
    return {
        **{name: getattr(batch, name) for task in TASKS for name in (task, f"{task}_mask")},
        **{MASKS[task]: mask for task, mask in label_masks(batch).items()},
        "age_low": low,
        "age_high": high,
        "age_range_mask": low >= 0,
        **opinions,
        **{f"{name}_mask": opinion >= 0 for name, opinion in opinions.items()},
        "dataset": batch.dataset,
    }


class FaceMetrics(nn.Module):
    """The figures of ``MEASURES`` and the mean losses.

    Only labels that exist count; a figure without any has no value rather than a wrong one.

    A step only keeps what was predicted and what was right. To choose the faces that have a label, a GPU would
    have to be waited for; that happens once, in ``compute``.
    """

    def __init__(self, datasets: Sequence[str] = ()) -> None:
        """Measure overall, and each of ``datasets`` by its number in the batch."""
        super().__init__()
        self.datasets = list(datasets)
        # A single data set is the overall figure: said once.
        groups = [OVERALL, *(self.datasets if len(self.datasets) > 1 else [])]
        masks = dict.fromkeys([*MASKS.values(), *(measure.mask for measure in MEASURES.values())])
        self.groups = nn.ModuleDict(
            {PREFIX + group: nn.ModuleDict({n: m.metric() for n, m in MEASURES.items()}) for group in groups}
        )
        self.counts = nn.ModuleDict({PREFIX + group: nn.ModuleDict({m: Count() for m in masks}) for group in groups})
        self.losses = nn.ModuleDict({task: MeanMetric() for task in TASKS})
        self.columns: list[str] = []
        self.kept: list[tuple[Tensor, Tensor]] = []

    def update(self, outputs: FaceOutputs, batch: FaceBatch, losses: dict[str, Tensor]) -> None:
        """Keep one batch with the mean loss of each task.

        All in one new tensor of float32, in which numbers of classes are exact: the batch's own lie in memory
        that is shared with the loader's processes, of which a system gives so many pieces only.
        """
        predictions = {"gender": outputs.gender.argmax(1), "age": outputs.age.squeeze(1)}
        predictions["emotion"] = outputs.emotion.argmax(1)
        known = columns_of(batch)
        self.columns = list(known)
        columns = [*(predictions[task] for task in TASKS), *known.values()]
        rows = torch.stack([column.detach().float() for column in columns])
        self.kept.append((rows, torch.stack([losses[task].detach().float() for task in TASKS])))

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
                losses = dict(_named(self.losses))
                values |= {f"loss_{task}": losses[task].compute() for task in TASKS if MASKS[task] in known}
            values |= {
                prefix + name: metric.compute() for name, metric in _named(metrics) if MEASURES[name].mask in known
            }
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
        names = [*(f"predicted_{task}" for task in TASKS), *self.columns]
        self._measure_losses([dict(zip(names, batch, strict=True)) for batch, _ in rows], [loss for _, loss in rows])
        column = dict(zip(names, torch.cat([batch for batch, _ in rows], 1), strict=True))
        for key, metrics in self.groups.items():
            group = key.removeprefix(PREFIX)
            inside = column["dataset"] == self.datasets.index(group) if group != OVERALL else column["dataset"] >= 0
            for mask, count in _named(self.counts[key]):
                count.update((inside & (column[mask] > 0)).sum())
            for name, metric in _named(metrics):
                measure = MEASURES[name]
                chosen = inside & (column[measure.mask] > 0)
                if chosen.any():
                    compared = [column[f"predicted_{measure.prediction}"], *(column[n] for n in measure.labels)]
                    whole = measure.prediction != "age"
                    metric.update(*(value[chosen].long() if whole else value[chosen] for value in compared))

    def _measure_losses(self, batches: list[dict[str, Tensor]], losses: list[Tensor]) -> None:
        for number, (task, metric) in enumerate(_named(self.losses)):
            labels = torch.stack([batch[MASKS[task]].sum() for batch in batches])
            if labels.any():
                metric.update(torch.stack(losses)[:, number], labels)


def _named(metrics: nn.Module) -> list[tuple[str, Metric]]:
    return [(name, metric) for name, metric in metrics.named_children() if isinstance(metric, Metric)]


def score(values: dict[str, Tensor], tasks: Sequence[str] = TASKS) -> Tensor | None:
    """Return one number to choose a checkpoint by: the mean over those of ``tasks`` that were measured.

    Gender and emotion enter with their accuracy, age with ``1 - MAE / 20 years`` (zero where one
    guesses about the median of the data): a year weighs as much as five points. Where ages are ranges alone, the
    share inside counts.
    """
    accuracies = [f"{task}_acc" for task in ("gender", "emotion") if task in tasks]
    parts = [values[name] for name in accuracies if name in values]
    if "age" in tasks and "age_mae" in values:
        parts.append(1 - values["age_mae"] / 20)
    elif "age" in tasks and "age_inside" in values:
        parts.append(values["age_inside"])
    return torch.stack([p.float() for p in parts]).mean() if parts else None
