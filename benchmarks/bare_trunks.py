"""SeLaVi's two trunks from torch alone, for a machine without torchvision: the shapes and names of `extractors.selavi.trunks`.

R(2+1)D-18 (Tran et al., CVPR 2018, section 3 and table 1) and a ResNet (He et al., CVPR 2016) with one block a stage. A test
holds them against torchvision's.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn

from extractors.selavi.trunks import Trunks

WIDTHS = (64, 128, 256, 512)


def _between(inputs: int, outputs: int) -> int:
    """Channels between the two convolutions of a pair, so that both have the weights of one of 3 x 3 x 3 (section 3.5)."""
    return inputs * outputs * 27 // (inputs * 9 + outputs * 3)


def _pair(inputs: int, outputs: int, stride: int, between: int, size: int = 3) -> list[nn.Module]:
    edge = size // 2
    return [
        nn.Conv3d(inputs, between, (1, size, size), (1, stride, stride), (0, edge, edge), bias=False),
        nn.BatchNorm3d(between),
        nn.ReLU(),
        nn.Conv3d(between, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
    ]


class _VideoBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        # Both pairs of a block have the width of its first, as the released networks have it.
        between = _between(inputs, outputs)
        first, second = _pair(inputs, outputs, stride, between), _pair(outputs, outputs, 1, between)
        self.conv1 = nn.Sequential(nn.Sequential(*first), nn.BatchNorm3d(outputs), nn.ReLU())
        self.conv2 = nn.Sequential(nn.Sequential(*second), nn.BatchNorm3d(outputs))
        self.downsample: nn.Module | None = None
        if inputs != outputs:
            shortcut = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.conv2(self.conv1(x)) + kept)


class _SoundBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + kept)


def _stages(block: type[nn.Module], count: int) -> OrderedDict[str, nn.Module]:
    stages, before = OrderedDict[str, nn.Module](), WIDTHS[0]
    for number, width in enumerate(WIDTHS, 1):
        blocks = [block(before if k == 0 else width, width, 2 if k == 0 and number > 1 else 1) for k in range(count)]
        stages[f"layer{number}"], before = nn.Sequential(*blocks), width
    return stages


class _Video(nn.Sequential):
    """(N, 3, T, 112, 112) -> (N, 512)."""

    def __init__(self) -> None:
        stem = [*_pair(3, WIDTHS[0], 1, 45, 7), nn.BatchNorm3d(WIDTHS[0]), nn.ReLU()]
        stem[0] = nn.Conv3d(3, 45, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False)
        super().__init__(OrderedDict(stem=nn.Sequential(*stem), **_stages(_VideoBlock, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean((2, 3, 4))


class _Sound(nn.Sequential):
    """(N, 1, 257, frames) -> (N, 512)."""

    def __init__(self) -> None:
        stem = OrderedDict(conv1=nn.Conv2d(1, 64, 7, 2, 3, bias=False), bn1=nn.BatchNorm2d(64))
        super().__init__(OrderedDict(**stem, relu=nn.ReLU(), maxpool=nn.MaxPool2d(3, 2, 1), **_stages(_SoundBlock, 1)))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean((2, 3))


def trunks(*, golden: bool = False) -> Trunks:
    """Return trunks in evaluation mode: of torch's random numbers, or with the weights of the reference's numbers."""
    made = Trunks(_Video(), _Sound())
    if golden:
        made.load_state_dict({name: formula_weights(name, tensor) for name, tensor in made.state_dict().items()})
    return made.eval()


def formula_weights(name: str, tensor: Tensor) -> Tensor:
    """Return the weights of a tensor by its name: values like those of trained networks, without a file."""
    rng, shape = np.random.default_rng(zlib.crc32(name.encode())), tuple(tensor.shape)
    if name.endswith("num_batches_tracked"):
        return torch.zeros_like(tensor)
    if name.endswith(("running_mean", ".bias")):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, np.float32))
