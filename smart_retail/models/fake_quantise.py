"""A reparameterised network whose convolutions compute as their integer kernels will.

Weights and inputs of each convolution are rounded to the grid that ``quantise.int8`` writes, with
gradients passed straight through, so that training learns to live with it. Names and shapes of the
weights are those of the fused network; each convolution only gains a buffer ``input_range``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from smart_retail.contract import INT8_TOP
from smart_retail.models.bounded import unbound_activations
from smart_retail.models.network import FaceNet
from smart_retail.models.reparameterise import fuse

RANGE = "input_range"


class FakeQuantConv2d(nn.Conv2d):
    """A convolution on a grid of bytes.

    Attributes:
        input_range: (2,) lowest and highest input.
        bits: of the weights.
    """

    input_range: Tensor
    bits = 8

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        rounded: Tensor = self._conv_forward(self._round_input(images), self._round_weight(), self.bias)  # type: ignore[no-untyped-call]
        return rounded

    def _round_input(self, images: Tensor) -> Tensor:
        low, high = self.input_range[0].clamp(max=0), self.input_range[1].clamp(min=0)
        scale = ((high - low) / 255).clamp(min=1e-8)
        zero = (-low / scale).round().to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(images, scale, zero, 0, 255)

    def _round_weight(self) -> Tensor:
        top = INT8_TOP[self.bits]
        scale = (self.weight.detach().abs().amax((1, 2, 3)) / top).clamp(min=1e-8)
        zeros = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(self.weight, scale, zeros, 0, -top, top)


def fake_quantise(network: FaceNet, ranges: Mapping[str, tuple[float, float]] | None = None, bits: int = 8) -> FaceNet:
    """Return a trainable copy in which every block is one convolution that rounds.

    Args:
        network: trained; its limits on activations are left out, the ranges are limits already.
        ranges: of the inputs by the convolution's name; None where they are loaded later.
        bits: of the weights, 7 or 8.

    Raises:
        ValueError: weights of another number of bits.
    """
    if bits not in INT8_TOP:
        raise ValueError(f"weights of {bits} bits are none of {', '.join(map(str, INT8_TOP))}")
    fused = fuse(network)
    unbound_activations(fused)
    for name, module in fused.named_modules():
        # Subclasses pad or slice in ways of their own and stay as they are.
        if type(module) is nn.Conv2d:
            module.__class__ = FakeQuantConv2d
            module.bits = bits  # type: ignore[assignment]
            found = (ranges or {}).get(name, (0.0, 1.0))
            module.register_buffer(RANGE, torch.tensor(found, dtype=torch.float32))
    return fused


def convolutions(network: nn.Module) -> dict[str, FakeQuantConv2d]:
    """Return the rounding convolutions by name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, FakeQuantConv2d)}


def is_fake_quantised(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights belong to such a network."""
    return any(name.endswith(f".{RANGE}") for name in weights)


def input_ranges(network: FaceNet) -> dict[str, tuple[float, float]]:
    """Return the range of each convolution's input by the convolution's name."""
    return {
        name: (float(conv.input_range[0]), float(conv.input_range[1])) for name, conv in convolutions(network).items()
    }


def to_float(network: FaceNet) -> FaceNet:
    """Turn the rounding convolutions back into plain ones with the same weights, in place."""
    for module in convolutions(network).values():
        del module._buffers[RANGE]
        module.__class__ = nn.Conv2d  # type: ignore[assignment]
    return network
