"""Age heads: plain regression, or a distribution over the years whose median is the age."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from smart_retail.errors import ConfigError
from smart_retail.labels import AGE_BINS, AGE_MAX, AGE_MIN, HALF_YEAR

YEARS_A_UNIT = 10.0
"""Absolute errors enter the loss in decades, to be of the size of a cross entropy."""
TYPICAL_AGE = 35.0
FAR = -1e9
"""A logit of nothing; finite, so that rows without a range have a gradient, which their mask then takes away."""


def years_outside(years: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return (B,) years by which ages lie outside ranges of whole years, both ends inside."""
    return (low - HALF_YEAR - years).clamp(min=0) + (years - high - HALF_YEAR).clamp(min=0)


class AgeRegression(nn.Linear):
    """One output, trained with the absolute error (L1)."""

    def __init__(self, features: int) -> None:
        """Start at a typical age, not at zero: ``features`` inputs, one output."""
        super().__init__(features, 1)
        nn.init.constant_(self.bias, TYPICAL_AGE / YEARS_A_UNIT)

    def years(self, raw: Tensor) -> Tensor:
        """Return (B, 1) years from the head's (B, 1) output in decades."""
        return raw * YEARS_A_UNIT

    def loss(self, raw: Tensor, age: Tensor) -> Tensor:
        """Return the (B,) absolute errors in decades; ``age`` is (B,) years."""
        return (self.years(raw).squeeze(1) - age).abs() / YEARS_A_UNIT

    def range_loss(self, raw: Tensor, ages: Tensor) -> Tensor:
        """Return the (B,) decades by which the answers lie outside (B, 2) ranges of whole years."""
        return years_outside(self.years(raw).squeeze(1), *ages.unbind(1)) / YEARS_A_UNIT

    def probabilities(self, raw: Tensor) -> Tensor:
        """Return (B, 101) with all on the two years next to the one said."""
        years = self.years(raw).clamp(AGE_MIN, AGE_MAX)
        return (1 - (years - torch.linspace(AGE_MIN, AGE_MAX, AGE_BINS, device=raw.device)).abs()).clamp(min=0)

    def soft_loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return (B,) absolute errors in decades against the means of (B, 101) probabilities."""
        bins = torch.linspace(AGE_MIN, AGE_MAX, AGE_BINS, device=raw.device)
        return self.loss(raw, (target * bins).sum(1))


class AgeDistribution(nn.Linear):
    """A softmax over 0 to 100 years; the age is its median.

    Trained as DLDL-v2 (Gao et al. 2018, IJCAI): cross entropy to a normal distribution around the
    label, plus the absolute error of the expectation. The answer is not that expectation but the median, from
    which the absolute error is least; distributions of ages have long tails.
    """

    bins: Tensor

    def __init__(self, features: int, sigma: float = 2.0) -> None:
        """Create the head.

        Args:
            features: inputs.
            sigma: width in years of the target; 0 puts all on the two years next to the label.
        """
        super().__init__(features, AGE_BINS)
        if sigma < 0:
            raise ConfigError(f"age_sigma {sigma} must not be negative")
        self.sigma = sigma
        self.register_buffer("bins", torch.linspace(AGE_MIN, AGE_MAX, AGE_BINS), persistent=False)

    def years(self, raw: Tensor) -> Tensor:
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

    def loss(self, raw: Tensor, age: Tensor) -> Tensor:
        """Return (B,) losses of (B, 101) logits; ``age`` is (B,) years."""
        entropy = -(self.target(age) * F.log_softmax(raw, 1)).sum(1)
        return entropy + (self.expectation(raw) - age).abs() / YEARS_A_UNIT

    def range_loss(self, raw: Tensor, ages: Tensor) -> Tensor:
        """Return (B,) minus the logarithms of the probabilities of (B, 2) ranges of whole years, both ends inside."""
        inside = (self.bins >= ages[:, :1]) & (self.bins <= ages[:, 1:])
        logits = raw.float()
        return logits.logsumexp(1) - torch.where(inside, logits, FAR).logsumexp(1)

    def probabilities(self, raw: Tensor) -> Tensor:
        """Return (B, 101) probabilities of the years, in float32: sums over them need it."""
        return raw.float().softmax(1)

    def soft_loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return (B,) losses of (B, 101) logits against (B, 101) probabilities, of the same form as ``loss``."""
        divergence = F.kl_div(F.log_softmax(raw, 1), target, reduction="none").sum(1)
        return divergence + (self.expectation(raw) - (target * self.bins).sum(1)).abs() / YEARS_A_UNIT


def age_head(kind: str, features: int, sigma: float) -> AgeRegression | AgeDistribution:
    """Build the head called ``regression`` or ``distribution``.

    Raises:
        ConfigError: another name.
    """
    if kind == "regression":
        return AgeRegression(features)
    if kind == "distribution":
        return AgeDistribution(features, sigma)
    raise ConfigError(f"age_head {kind!r} is none of distribution, regression")
