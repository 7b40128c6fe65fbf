"""I3D on a CPU: batch norm folded, channels last, products of matrices for 1 x 1 x 1, Winograd for 3 x 3 x 3."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_weights

from extractors.i3d_audiocnn.i3d import I3D, MIXED, Unit, pool, same
from extractors.winograd import Winograd


class FusedI3D(nn.Module):
    """Frames (N, 3, T, 224, 224) -> as `I3D`, up to float32 rounding (relative 1e-5), one clip after the other."""

    def __init__(self, network: I3D) -> None:
        super().__init__()
        self.stem = _Folded(network.Conv3d_1a_7x7)
        self.narrow, self.wide = _folded(network.Conv3d_2b_1x1), _folded(network.Conv3d_2c_3x3)
        parts = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
        self.mixed = nn.ModuleDict(
            {
                name: nn.ModuleDict({part: _folded(network.get_submodule(f"{name}.{part}")) for part in parts})  # type: ignore[arg-type]
                for name in MIXED
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self._steps(clip) for clip in x])

    def _steps(self, clip: Tensor) -> Tensor:
        x = _pooled(self.stem(clip), (1, 3, 3), (1, 2, 2))
        x = _pooled(self.wide(self.narrow(x)), (1, 3, 3), (1, 2, 2))
        for name in MIXED:
            if name in ("Mixed_4b", "Mixed_5b"):
                size = 3 if name == "Mixed_4b" else 2
                x = _pooled(x, (size, size, size), (2, 2, 2))
            branch: nn.ModuleDict = self.mixed[name]  # type: ignore[assignment]
            around = _pooled(x, (3, 3, 3), (1, 1, 1))
            maps = [
                branch["b0"](x),
                branch["b1b"](branch["b1a"](x)),
                branch["b2b"](branch["b2a"](x)),
                branch["b3b"](around),
            ]
            x = torch.cat(maps, dim=3)
        planes = x.mean((1, 2))
        return (planes[:-1] + planes[1:]) / 2


class _Folded(nn.Module):
    """The 7 x 7 x 7 convolution: (3, T, H, W) -> (T / 2, H / 2, W / 2, 64)."""

    def __init__(self, unit: Unit) -> None:
        super().__init__()
        self._kernel, self._stride = unit.kernel, unit.stride
        weight, bias = _weights(unit)
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last_3d))
        self.register_buffer("bias", bias)

    weight: Tensor
    bias: Tensor

    def forward(self, clip: Tensor) -> Tensor:
        x = same(clip[None], self._kernel, self._stride).contiguous(memory_format=torch.channels_last_3d)
        x = functional.relu_(functional.conv3d(x, self.weight, self.bias, self._stride))
        return x[0].permute(1, 2, 3, 0).contiguous()


class _Product(nn.Module):
    """A 1 x 1 x 1 convolution: (T, H, W, C) -> (T, H, W, D)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.flatten(1).contiguous())
        self.register_buffer("bias", bias)

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu_(functional.linear(x, self.weight, self.bias))


def _folded(unit: Unit) -> nn.Module:
    return (_Product if unit.kernel == (1, 1, 1) else Winograd)(*_weights(unit))


def _weights(unit: Unit) -> tuple[Tensor, Tensor]:
    bn = unit.bn
    assert bn.running_mean is not None
    assert bn.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        unit.conv3d.weight, None, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return weight.detach(), bias.detach()


def _pooled(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    return pool(x.permute(3, 0, 1, 2)[None], kernel, stride)[0].permute(1, 2, 3, 0).contiguous()
