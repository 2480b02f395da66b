"""What is measured of each task, over all faces and for each data set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchmetrics import MeanAbsoluteError, MeanMetric, Metric, SumMetric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from smart_retail.data.dataset import FaceBatch
from smart_retail.labels import CUMULATIVE_YEARS, EMOTIONS, GENDERS, TASKS
from smart_retail.models.network import FaceOutputs

OVERALL = "overall"
PREFIX = "of_"
"""A ModuleDict refuses keys that are attributes of a module, as a data set called ``train``."""


class CumulativeScore(MeanMetric):
    """Share of faces whose age is off by at most five years (CS@5)."""

    def update(self, years: Tensor, age: Tensor) -> None:  # type: ignore[override]
        """Add (B,) predictions and labels in years."""
        super().update(((years - age).abs() <= CUMULATIVE_YEARS).float())


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


class FaceMetrics(nn.Module):
    """Accuracy and balanced accuracy of gender, MAE and CS@5 of age, accuracy and F1 of emotion.

    Only labels that exist count; a task without any has no value rather than a wrong one.
    """

    def __init__(self, datasets: Sequence[str] = ()) -> None:
        """Measure overall, and each of ``datasets`` by its number in the batch."""
        super().__init__()
        self.datasets = list(datasets)
        # A single data set is the overall figure: said once.
        groups = [OVERALL, *(self.datasets if len(self.datasets) > 1 else [])]
        self.groups = nn.ModuleDict({PREFIX + group: _group_metrics() for group in groups})
        self.losses = nn.ModuleDict({task: MeanMetric() for task in TASKS})

    def update(self, outputs: FaceOutputs, batch: FaceBatch, losses: dict[str, Tensor]) -> None:
        """Add one batch with the mean loss of each task."""
        predictions = {"gender": outputs.gender, "age": outputs.age.squeeze(1), "emotion": outputs.emotion}
        for key, metrics in self.groups.items():
            assert isinstance(metrics, nn.ModuleDict)
            group = key.removeprefix(PREFIX)
            inside = (
                torch.ones_like(batch.gender_mask) if group == OVERALL else batch.dataset == self.datasets.index(group)
            )
            for task in TASKS:
                mask = getattr(batch, f"{task}_mask") & inside
                if mask.any():
                    labels = getattr(batch, task)[mask]
                    for name, metric in metrics.items():
                        if name.startswith(task):
                            _add(metric, predictions[task][mask], labels)
                    if group == OVERALL:
                        self.losses[task].update(losses[task], len(labels))  # type: ignore[operator]

    def compute(self) -> dict[str, Tensor]:
        """Return ``loss_gender``, ``gender_acc``, ``<data set>/gender_acc``, ... where there are labels."""
        values = {}
        for key, metrics in self.groups.items():
            assert isinstance(metrics, nn.ModuleDict)
            group = key.removeprefix(PREFIX)
            prefix = "" if group == OVERALL else f"{group}/"
            for task in TASKS:
                # Synchronised over the ranks, so that every rank logs the same keys.
                if metrics[f"{task}_count"].compute() > 0:  # type: ignore[operator]
                    if group == OVERALL:
                        values[f"loss_{task}"] = self.losses[task].compute()  # type: ignore[operator]
                    for name, metric in metrics.items():
                        if name.startswith(task) and not name.endswith("_count"):
                            values[prefix + name] = metric.compute()  # type: ignore[operator]
        return values

    def reset(self) -> None:
        """Forget everything added."""
        for metric in self.modules():
            if isinstance(metric, Metric):
                metric.reset()


def _group_metrics() -> nn.ModuleDict:
    emotions = len(EMOTIONS)
    return nn.ModuleDict(
        {
            "gender_count": Count(),
            "gender_acc": MulticlassAccuracy(len(GENDERS), average="micro"),
            "gender_balanced_acc": MulticlassAccuracy(len(GENDERS), average="macro"),
            "age_count": Count(),
            "age_mae": MeanAbsoluteError(),
            "age_cs5": CumulativeScore(),
            "emotion_count": Count(),
            "emotion_acc": MulticlassAccuracy(emotions, average="micro"),
            "emotion_f1": MulticlassF1Score(emotions, average="macro"),
        }
    )


def _add(metric: nn.Module, predictions: Tensor, labels: Tensor) -> None:
    if isinstance(metric, SumMetric):
        metric.update(len(labels))
    elif isinstance(metric, Metric):
        metric.update(predictions, labels)


def score(values: dict[str, Tensor], tasks: Sequence[str] = TASKS) -> Tensor | None:
    """Return one number to choose a checkpoint by: the mean over those of ``tasks`` that were measured.

    Gender and emotion enter with their accuracy, age with ``1 - MAE / 20 years`` (zero where one
    guesses about the median of the data): a year weighs as much as five points.
    """
    accuracies = [f"{task}_acc" for task in ("gender", "emotion") if task in tasks]
    parts = [values[name] for name in accuracies if name in values]
    if "age" in tasks and "age_mae" in values:
        parts.append(1 - values["age_mae"] / 20)
    return torch.stack([p.float() for p in parts]).mean() if parts else None
