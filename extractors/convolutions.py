"""Convolutional networks that only infer, faster and to the same function: BatchNorm folded in, channels last, by oneDNN.

Torch's own choice of an implementation passes oneDNN over for small maps and, on one thread, for 1 x 1 x 1 filters, and its poolings
of maps whose channels come first take a tenth of the time of C3D and I3D.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold(network: nn.Module) -> nn.Module:
    """Make one of every convolution and the BatchNorm that follows it among its parent's children; return the network, in eval mode."""
    network.eval()
    for parent in list(network.modules()):
        for (name, first), (after, second) in pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d | nn.Conv3d) and isinstance(second, _BatchNorm):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, after, nn.Identity())
    return network


def by_onednn(network: nn.Module, device: torch.device) -> nn.Module:
    """Put a network on a device, its channels last, and on a CPU give every 3-d convolution to oneDNN; return the network."""
    if device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Conv3d):
                    setattr(parent, name, _OneDnn(child))
    return network.to(device).to(memory_format=torch.channels_last_3d)


class _OneDnn(nn.Module):
    """A convolution by oneDNN, whatever the size of its maps."""

    def __init__(self, convolution: nn.Conv3d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        assert not isinstance(convolution.padding, str)
        self._padding, self._stride = convolution.padding, convolution.stride
        self._dilation, self._groups = convolution.dilation, convolution.groups

    def forward(self, x: Tensor) -> Tensor:
        return torch.mkldnn_convolution(
            x, self.weight, self.bias, self._padding, self._stride, self._dilation, self._groups
        )
