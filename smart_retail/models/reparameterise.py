"""From the training form with parallel branches to plain convolutions, checked."""

from __future__ import annotations

import torch
from timm.utils.model import reparameterize_model

from smart_retail.errors import CheckpointError
from smart_retail.models.network import FaceNet

TOLERANCE = 1e-3
"""Largest allowed deviation, relative to the largest output; float32 gives about 3e-5."""


def reparameterise(network: FaceNet, images: torch.Tensor) -> FaceNet:
    """Return a copy in which every block is one convolution, for inference only.

    Args:
        network: trained network; stays as it is.
        images: (B, 3, S, S) on which both forms must agree.

    Raises:
        CheckpointError: they do not.
    """
    training = network.training
    network.eval()
    # timm's function freezes what the branches share with the copy, so it must get its own.
    fused: FaceNet = reparameterize_model(network, inplace=False).eval()
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
