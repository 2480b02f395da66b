"""A start from which reparameterised networks learn on little data: every block is the identity.

MobileOne and RepVGG blocks have no true skip: the identity branch is a batch norm in front of a
ReLU. It centres its non-negative input, and the ReLU cuts half of that away, block after block. At
the usual initialisation a deep stack is chaotic: rounding errors grow through it, gradients carry
noise, and a few hundred steps teach next to nothing.
"""

from __future__ import annotations

import torch
from torch import nn

BRANCH_SCALE = 0.2
"""Start of the batch norm weights of the convolution branches beside an identity."""
IDENTITY_SHIFT = 0.7
"""Start of the identity's batch norm bias. What leaves a ReLU is about a rectified normal, whose mean
is 0.68 of its deviation: centred by the batch norm and shifted by 0.7 it lies above zero again, and
the next ReLU passes it unchanged."""


@torch.no_grad()
def identity_init(
    backbone: nn.Module, branch_scale: float = BRANCH_SCALE, identity_shift: float = IDENTITY_SHIFT
) -> int:
    """Make the blocks that have an identity branch start as the identity, in place.

    Architecture, parameters and reparameterisation stay as they are.

    Args:
        backbone: any timm network; blocks count that have a batch norm named ``identity``
            (MobileOne, RepVGG and their relatives).
        branch_scale: weight of every other batch norm in such a block; small keeps the convolution
            branches out of the way at first.
        identity_shift: bias of the identity's batch norm.

    Returns:
        Number of blocks changed; 0 for backbones that have true skips already.
    """
    changed = 0
    for block in backbone.modules():
        identity = getattr(block, "identity", None)
        if not isinstance(identity, nn.BatchNorm2d):
            continue
        for norm in block.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.weight.fill_(1.0 if norm is identity else branch_scale)
        identity.bias.fill_(identity_shift)
        changed += 1
    return changed
