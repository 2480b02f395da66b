"""Heads: one class for each kind of task. What a head answers, how it learns from labels and from teachers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smart_retail.errors import ConfigError
from smart_retail.own_code import look_up
from smart_retail.tasks import AGE_MAX, AGE_MIN, HALF_YEAR, Task

BINS = int(AGE_MAX - AGE_MIN) + 1
"""Of a distribution of ages: one a year, 0 to 100."""
YEARS_A_UNIT = 10.0
"""Absolute errors enter the loss in decades, to be of the size of a cross entropy."""
TYPICAL_AGE = 35.0
FAR = -1e9
"""A logit of nothing; finite, so that rows without a range have a gradient, which their mask then takes away."""


def years_outside(years: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return (B,) years by which ages lie outside ranges of whole years, both ends inside."""
    return (low - HALF_YEAR - years).clamp(min=0) + (years - high - HALF_YEAR).clamp(min=0)


class ClassHead(nn.Linear):
    """Logits of a task's classes, trained with cross entropy."""

    def __init__(self, task: Task, features: int) -> None:
        """Create the head with so many ``features`` as inputs."""
        super().__init__(features, len(task.classes))
        self.task = task

    def decode(self, raw: Tensor) -> Tensor:
        """Return the (B, classes) logits as they are."""
        return raw

    def probabilities(self, raw: Tensor) -> Tensor:
        """Return (B, classes)."""
        return raw.softmax(1)

    def loss(self, raw: Tensor, labels: Mapping[str, Tensor], smoothing: float = 0.0) -> Tensor:
        """Return (B,) losses; those of faces without a label mean nothing.

        Args:
            raw: (B, classes) logits.
            labels: classes and votes, see ``data.labels``.
            smoothing: share of the target that is spread over all classes.
        """
        known = labels[self.task.name].clamp(min=0)
        votes = labels.get(self.task.vote_labels)
        if votes is None:
            return F.cross_entropy(raw, known, reduction="none", label_smoothing=smoothing)
        # By a comparison: one_hot would first look whether the numbers are in range.
        classes = (known[:, None] == torch.arange(votes.shape[1], device=votes.device)).float()
        target = torch.where(votes.sum(1, keepdim=True) > 0, votes, classes)
        return F.cross_entropy(raw, target, reduction="none", label_smoothing=smoothing)

    def soft_loss(self, raw: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
        """Return (B,) Kullback-Leibler divergences at a temperature, times its square.

        Args:
            raw: (B, classes) logits of the student.
            target: (B, classes) probabilities of the teacher, at temperature 1.
            temperature: of both.
        """
        # Stored probabilities are float16: the smallest are exact zeros.
        softened = (target.clamp(min=1e-7).log() / temperature).log_softmax(1)
        student = (raw / temperature).log_softmax(1)
        return F.kl_div(student, softened, log_target=True, reduction="none").sum(1) * temperature**2


class YearsHead(nn.Linear, ABC):
    """What the two heads of years share: labels that are exact, or ranges."""

    task: Task

    def loss(self, raw: Tensor, labels: Mapping[str, Tensor], smoothing: float = 0.0) -> Tensor:
        """Return (B,) losses; those of faces without a label mean nothing.

        Args:
            raw: the head's output.
            labels: years and ranges, see ``data.labels``.
            smoothing: not applied: uniform mass on far years would pull the expectation.
        """
        years = labels[self.task.name]
        exact = self.exact_loss(raw, years)
        ranges = labels.get(self.task.range_labels)
        return exact if ranges is None else torch.where(years >= 0, exact, self.range_loss(raw, ranges))

    @abstractmethod
    def exact_loss(self, raw: Tensor, years: Tensor) -> Tensor:
        """Return (B,) losses against (B,) years."""

    @abstractmethod
    def range_loss(self, raw: Tensor, ranges: Tensor) -> Tensor:
        """Return (B,) losses against (B, 2) ranges of whole years, both ends inside."""


class YearsRegression(YearsHead):
    """One output, trained with the absolute error (L1)."""

    def __init__(self, task: Task, features: int) -> None:
        """Start at a typical age, not at zero: ``features`` inputs, one output."""
        super().__init__(features, 1)
        self.task = task
        nn.init.constant_(self.bias, TYPICAL_AGE / YEARS_A_UNIT)

    def decode(self, raw: Tensor) -> Tensor:
        """Return (B, 1) years from the head's (B, 1) output in decades."""
        return raw * YEARS_A_UNIT

    def exact_loss(self, raw: Tensor, years: Tensor) -> Tensor:
        """Return the (B,) absolute errors in decades."""
        return (self.decode(raw).squeeze(1) - years).abs() / YEARS_A_UNIT

    def range_loss(self, raw: Tensor, ranges: Tensor) -> Tensor:
        """Return the (B,) decades by which the answers lie outside the ranges."""
        return years_outside(self.decode(raw).squeeze(1), *ranges.unbind(1)) / YEARS_A_UNIT

    def probabilities(self, raw: Tensor) -> Tensor:
        """Return (B, 101) with all on the two years next to the predicted one."""
        years = self.decode(raw).clamp(AGE_MIN, AGE_MAX)
        return (1 - (years - torch.linspace(AGE_MIN, AGE_MAX, BINS, device=raw.device)).abs()).clamp(min=0)

    def soft_loss(self, raw: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
        """Return (B,) absolute errors in decades against the means of (B, 101) probabilities."""
        bins = torch.linspace(AGE_MIN, AGE_MAX, BINS, device=raw.device)
        return self.exact_loss(raw, (target * bins).sum(1))


class YearsDistribution(YearsHead):
    """A softmax over 0 to 100 years; the age is its median.

    Trained as DLDL-v2 (Gao et al. 2018, IJCAI): cross entropy to a normal distribution around the
    label, plus the absolute error of the expectation. The answer is not that expectation but the median, from
    which the absolute error is least; distributions of ages have long tails.
    """

    bins: Tensor

    def __init__(self, task: Task, features: int, sigma: float = 2.0) -> None:
        """Create the head.

        Args:
            task: of years.
            features: inputs.
            sigma: width in years of the target; 0 puts all on the two years next to the label.
        """
        super().__init__(features, BINS)
        if sigma < 0:
            raise ConfigError(f"age_sigma {sigma} must not be negative")
        self.task, self.sigma = task, sigma
        self.register_buffer("bins", torch.linspace(AGE_MIN, AGE_MAX, BINS), persistent=False)

    def decode(self, raw: Tensor) -> Tensor:
        """Return (B, 1) years from (B, 101) logits: where half lies below, each year spread evenly over its length."""
        share = self.probabilities(raw)
        below = share.cumsum(1) - share
        return ((0.5 - below) / share.clamp(min=1e-9)).clamp(0, 1).sum(1, keepdim=True) - 0.5

    def expectation(self, raw: Tensor) -> Tensor:
        """Return (B,) mean years from (B, 101) logits; unlike the median it has gradients everywhere."""
        return (self.probabilities(raw) * self.bins).sum(1)

    def target(self, age: Tensor) -> Tensor:
        """Return the (B, 101) distribution for (B,) years."""
        distance = age.unsqueeze(1) - self.bins
        if self.sigma == 0:
            return (1 - distance.abs()).clamp(min=0)
        return (-0.5 * (distance / self.sigma) ** 2).softmax(1)

    def exact_loss(self, raw: Tensor, years: Tensor) -> Tensor:
        """Return (B,) losses of (B, 101) logits."""
        entropy = -(self.target(years) * F.log_softmax(raw, 1)).sum(1)
        return entropy + (self.expectation(raw) - years).abs() / YEARS_A_UNIT

    def range_loss(self, raw: Tensor, ranges: Tensor) -> Tensor:
        """Return (B,) minus the logarithms of the probabilities of the ranges."""
        inside = (self.bins >= ranges[:, :1]) & (self.bins <= ranges[:, 1:])
        logits = raw.float()
        return logits.logsumexp(1) - torch.where(inside, logits, FAR).logsumexp(1)

    def probabilities(self, raw: Tensor) -> Tensor:
        """Return (B, 101) probabilities of the years, in float32: sums over them need it."""
        return raw.float().softmax(1)

    def soft_loss(self, raw: Tensor, target: Tensor, temperature: float = 1.0) -> Tensor:
        """Return (B,) losses of (B, 101) logits against (B, 101) probabilities, of the same form as ``loss``."""
        divergence = F.kl_div(F.log_softmax(raw, 1), target, reduction="none").sum(1)
        return divergence + (self.expectation(raw) - (target * self.bins).sum(1)).abs() / YEARS_A_UNIT


Head = ClassHead | YearsRegression | YearsDistribution


def make_head(
    task: Task,
    features: int,
    *,
    years: str = "distribution",
    sigma: float = 2.0,
    own: str | Mapping[str, Any] | None = None,
) -> Head:
    """Build the head of a task.

    Args:
        task: what it answers.
        features: inputs.
        years: ``distribution`` or ``regression``, for a task of years.
        sigma: of a distribution.
        own: a class of one's own instead, as ``my_ideas.MyHead`` or with ``class_path`` and ``init_args``. It is made
            with task and features, and has the methods of ``ClassHead``.

    Raises:
        ConfigError: there is no such head.
    """
    if own:
        name, settings = (own, {}) if isinstance(own, str) else (str(own.get("class_path")), own.get("init_args") or {})
        made: Head = look_up(name, nn.Module, "decode", "probabilities", "loss", "soft_loss")(
            task, features, **settings
        )
        return made
    if years not in ("distribution", "regression"):
        raise ConfigError(f"age_head {years!r} is none of distribution, regression")
    if task.is_classes:
        return ClassHead(task, features)
    return YearsRegression(task, features) if years == "regression" else YearsDistribution(task, features, sigma)
