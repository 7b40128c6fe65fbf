"""EfficientNet-Lite0's tensors out of a PyTorch checkpoint (Tan & Le, ICML 2019, without squeeze-and-excite; ImageNet-1k).

Names are those of the file: `_conv_stem`, `_blocks.N._expand_conv`, `_depthwise_conv`, `_project_conv`, `_conv_head`, `_fc`, with
a batch norm after each convolution.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from avzsl.contracts.errors import DataError
from avzsl.pretrained.checkpoints import read_tensors

DIM, LABELS = 1280, 1000
STEM = 32
# Blocks of each stage: how many, kernel, stride of the first, expansion, channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))  # fmt: skip
EPSILON = 1e-3  # of the batch norms


def blocks() -> list[tuple[int, int, int, int, int]]:
    """Return kernel, stride, input, inner and output channels of the 16 blocks."""
    found, width = [], STEM
    for count, kernel, stride, expansion, channels in STAGES:
        for number in range(count):
            found.append((kernel, stride if number == 0 else 1, width, width * expansion, channels))
            width = channels
    return found


def shapes() -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor."""
    found: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, norm: str, shape: tuple[int, ...]) -> None:
        found[f"{name}.weight"] = shape
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{part}"] = shape[:1]

    convolution("_conv_stem", "_bn0", (STEM, 3, 3, 3))
    for number, (kernel, _, width, inner, channels) in enumerate(blocks()):
        name = f"_blocks.{number}"
        if inner != width:
            convolution(f"{name}._expand_conv", f"{name}._bn0", (inner, width, 1, 1))
        convolution(f"{name}._depthwise_conv", f"{name}._bn1", (inner, 1, kernel, kernel))
        convolution(f"{name}._project_conv", f"{name}._bn2", (channels, inner, 1, 1))
    convolution("_conv_head", "_bn1", (DIM, STAGES[-1][-1], 1, 1))
    return found | {"_fc.weight": (LABELS, DIM), "_fc.bias": (LABELS,)}


def read_efficientnet(path: Path) -> dict[str, Tensor]:
    """Return the float32 tensors of `shapes`; nothing in the file is executed.

    Raises DataError for a file that is no checkpoint of tensors alone, lacks one, or has one of another shape or not finite.
    """
    advice = "correct features.weights.path"
    state = read_tensors(path, advice)
    for name, shape in shapes().items():
        tensor = state.get(name)
        if not isinstance(tensor, Tensor):
            raise DataError(path, f"is no EfficientNet-Lite0: it lacks the tensor {name}; {advice}")
        if tuple(tensor.shape) != shape or not torch.isfinite(tensor).all():
            raise DataError(path, f"tensor {name} has shape {tuple(tensor.shape)} instead of {shape}, or NaN; {advice}")
    return {name: state[name].detach().float() for name in shapes()}
