"""channels_last on a CPU without its crash: strided 1x1 convolutions decimate first."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class DecimatedConv2d(nn.Conv2d):
    """A 1x1 convolution with a stride, computed as slicing and a convolution with stride 1.

    Same parameters, same result. The backward pass of a strided 1x1 convolution over three channels
    in channels_last memory crashes in oneDNN (seen with torch 2.14.1), and MobileOne's stem has one.
    channels_last is worth the trouble: see ``smart-retail benchmark step``.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        step_y, step_x = self.stride
        return F.conv2d(images[..., ::step_y, ::step_x], self.weight, self.bias, groups=self.groups)


def decimate_pointwise(network: nn.Module) -> None:
    """Replace the strided 1x1 convolutions of depthwise and stem branches, in place.

    Convolutions over many channels at once (a ResNet's shortcut) neither crash nor gain; they stay,
    so that an exported graph has no needless slices.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and module.kernel_size == (1, 1) and max(module.stride) > 1:
            per_group = module.in_channels // module.groups
            if per_group <= 4 and module.padding == (0, 0):
                module.__class__ = DecimatedConv2d
