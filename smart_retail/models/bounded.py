"""A limit on activations, so that a rare face cannot blow a network without true skips up.

In MobileOne and RepVGG every branch ends in a batch norm, and a channel that is almost never active
has almost no variance. Divided by that, block after block, the rare face that does wake it up grows
without bound: of 6,088 validation faces six had logits of up to a million. In training the batch's own
statistics hide it. A limit far above what faces usually reach (about 11) changes nothing else:
at 64 and 32 accuracies are those of the other faces, at 10 emotion loses a point.
"""

from __future__ import annotations

from torch import nn

from smart_retail.errors import ConfigError

ACTIVATION_LIMIT = 32.0
RELU6 = 6.0
"""A clip up to here belongs to a network's architecture; a limit lies above."""


def bound_activations(backbone: nn.Module, limit: float = ACTIVATION_LIMIT) -> int:
    """Let the ReLUs of blocks without a true skip end at a limit, in place.

    Args:
        backbone: any timm network; blocks count that timm can fuse into a ``reparam_conv``.
        limit: above what faces usually reach.

    Returns:
        Number of blocks changed.

    Raises:
        ConfigError: the limit is no higher than that of a ReLU6.
    """
    if not limit > RELU6:
        raise ConfigError(f"activation_limit {limit} must be above {RELU6:.0f}: usual activations reach 11")
    return _exchange(backbone, nn.ReLU, nn.Hardtanh(0.0, limit, inplace=True))


def unbound_activations(backbone: nn.Module) -> int:
    """Take the limit away again: the ranges of INT8 are one, and evened channels need another for each."""
    return _exchange(backbone, nn.Hardtanh, nn.ReLU(inplace=True))


def _exchange(backbone: nn.Module, old: type[nn.Module], new: nn.Module) -> int:
    blocks = [m for m in backbone.modules() if hasattr(m, "reparam_conv") and type(getattr(m, "act", None)) is old]
    for block in blocks:
        block.act = new
    return len(blocks)
