"""What the processes of one training tell each other."""

from __future__ import annotations

from typing import Any, TypeVar

import torch.distributed as dist

T = TypeVar("T")


def gather(ours: list[T]) -> list[T]:
    """Return the lists of all ranks as one; a collective call under DDP."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return ours
    ranks: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(ranks, ours)
    return [part for rank in ranks for part in rank]
