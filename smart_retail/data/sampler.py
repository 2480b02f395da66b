"""Which faces an epoch shows, in which order, at which size and with which augmentation.

All of it follows from the seed and the epoch, so a run that is resumed in the middle of an epoch
sees what the unbroken run would have seen, with any number of workers and ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from torch.utils.data import DistributedSampler

from smart_retail.errors import ConfigError


class Draw(NamedTuple):
    """One face to load: its row, the side in pixels, and the seed of its augmentation."""

    row: int
    size: int
    seed: int


def size_at(sizes: Mapping[int, int], epoch: int) -> int:
    """Return the side in pixels that holds in an epoch.

    Args:
        sizes: side by the epoch from which it holds.
        epoch: counted from 0.

    Raises:
        ConfigError: no size holds from epoch 0.
    """
    if 0 not in sizes:
        raise ConfigError(f"image sizes {dict(sizes)} must say the size from epoch 0")
    return sizes[max(start for start in sizes if start <= epoch)]


class OrderedSampler(DistributedSampler):  # type: ignore[type-arg]
    """Every face once, in order, for evaluation; ranks share them without padding.

    Within a training the size follows the training's: a network that has only seen small images is
    misjudged on larger ones (Touvron et al. 2019, arXiv:1906.06423).
    """

    def __init__(self, faces: int, *, sizes: Mapping[int, int], rank: int = 0, world_size: int = 1) -> None:
        """Create a sampler of ``faces`` faces; ``sizes`` as in ``size_at``."""
        self.rows = range(rank, faces, world_size)
        self.sizes, self.epoch = dict(sizes), 0

    def __len__(self) -> int:
        """Return the faces of this rank."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws; their seeds are not used."""
        size = size_at(self.sizes, self.epoch)
        return iter([Draw(row, size, 0) for row in self.rows])


class BalancedSampler(DistributedSampler):  # type: ignore[type-arg]
    """Draws weighted faces without the scatter of independent draws.

    A face of weight w appears ``n * w / sum(w)`` times in an epoch of n faces, rounded up or down at
    random (systematic sampling, Madow 1949); with equal weights that is a plain permutation.

    It is a ``DistributedSampler`` so that Lightning leaves it alone: it shards itself by rank.
    """

    def __init__(
        self,
        weights: np.ndarray,
        *,
        epoch_size: int,
        sizes: Mapping[int, int],
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Create a sampler.

        Args:
            weights: (N,) positive.
            epoch_size: faces in an epoch, over all ranks; a remainder of the division by the ranks
                is left out.
            sizes: side in pixels by the epoch from which it holds; must have epoch 0.
            seed: of order and augmentation.
            rank: of this process.
            world_size: number of processes.
        """
        self.weights = np.asarray(weights, np.float64)
        self.sizes = dict(sizes)
        size_at(self.sizes, 0)
        self.seed, self.rank, self.num_replicas = seed, rank, world_size
        self.num_samples = epoch_size // world_size
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        """Return the faces of a whole epoch on this rank."""
        return self.num_samples

    def resume(self, epoch: int, start: int) -> None:
        """Begin the next iteration in ``epoch``, after the first ``start`` faces of this rank."""
        self.epoch, self.start = epoch, start

    @property
    def size(self) -> int:
        """Side in pixels in the current epoch."""
        return size_at(self.sizes, self.epoch)

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws of the current epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        total = self.num_samples * self.num_replicas
        order = rng.permutation(len(self.weights))
        expected = np.cumsum(self.weights[order])
        # Divided by its last entry the last of ``expected`` is exactly 1: no position lies beyond.
        positions = (np.arange(total) + rng.random()) / total
        rows = order[np.searchsorted(expected / expected[-1], positions, side="right")]
        rng.shuffle(rows)
        seeds = rng.integers(2**63, size=total)
        mine = slice(self.rank, None, self.num_replicas)
        start, self.start = self.start, 0
        for row, seed in list(zip(rows[mine], seeds[mine], strict=True))[start:]:
            yield Draw(int(row), self.size, int(seed))


def face_weights(datasets: np.ndarray, ages: np.ndarray, *, balance: float, age_balance: float) -> np.ndarray:
    """Return how often each face should be seen, relative to the others.

    Args:
        datasets: (N,) data set number of each face.
        ages: (N,) years, NaN where unknown.
        balance: 0 shows data sets in proportion to their size, 1 equally often.
        age_balance: 0 leaves the ages of a data set as they are, 1 shows every age group of five
            years equally often; a weight is at most 10 times the median one.

    Returns:
        (N,) float64.
    """
    weights = np.ones(len(datasets))
    known = ~np.isnan(ages)
    if age_balance > 0 and known.any():
        groups = (np.nan_to_num(ages) // 5).astype(int)
        for dataset in np.unique(datasets):
            here = known & (datasets == dataset)
            if here.any():
                rare = np.bincount(groups[here])[groups[here]].astype(float) ** -age_balance
                weights[here] = np.minimum(rare / np.median(rare), 10)
    for dataset in np.unique(datasets):
        here = datasets == dataset
        weights[here] *= here.sum() ** (1 - balance) / weights[here].sum()
    return weights
