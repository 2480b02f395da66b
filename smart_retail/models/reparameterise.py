"""From the training form with parallel branches to plain convolutions, checked."""

from __future__ import annotations

from typing import TypeVar

import torch
from timm.utils.model import reparameterize_model
from torch import nn

from smart_retail.errors import CheckpointError

TOLERANCE = 1e-3
"""Largest allowed deviation, relative to the largest output; float32 gives about 3e-5."""
BRANCHLESS = "reparam_conv"
"""Timm's name of the one convolution that a block of MobileOne or RepVGG becomes."""
Network = TypeVar("Network", bound=nn.Module)


def fuse(network: Network) -> Network:
    """Return a trainable copy in which every block is one convolution."""
    fused: Network = reparameterize_model(network, inplace=False)
    return fused.requires_grad_(True)  # timm freezes what the branches shared with the copy


def is_fused(network: nn.Module) -> bool:
    """Whether a network has blocks that are one convolution each."""
    return any(getattr(module, BRANCHLESS, None) is not None for module in network.modules())


def reparameterise(network: Network, images: torch.Tensor) -> Network:
    """Return a copy in which every block is one convolution, for inference only.

    Args:
        network: trained network; stays as it is.
        images: (B, 3, S, S) on which both forms must agree.

    Raises:
        CheckpointError: they do not.
    """
    training = network.training
    network.eval()
    fused = fuse(network).eval()
    with torch.no_grad():
        pairs = list(zip(network(images), fused(images), strict=True))
    network.train(training)
    deviation = max(float((a - b).abs().max() / (a.abs().max() + 1)) for a, b in pairs)
    if not deviation <= TOLERANCE:
        raise CheckpointError(
            f"the reparameterised network deviates by {deviation:.1e} (allowed: {TOLERANCE:.0e}); "
            "are the batch norm statistics of this checkpoint sound?"
        )
    return fused
