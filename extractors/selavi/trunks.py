"""SeLaVi's two trunks, and a faster form of the video trunk that computes the same function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad, relu_
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights

from avzsl.runtime.imports import importing

DIM = 512
CHANNELS_LAST = torch.channels_last


def video_trunk() -> nn.Module:
    """Return torchvision's R(2+1)D-18 without its classifier: (N, 3, T, 112, 112) -> (N, 512)."""
    with importing():
        from torchvision.models.video import r2plus1d_18  # here, as the rest needs torch alone

    trunk = r2plus1d_18(weights=None)
    trunk.fc = nn.Identity()
    return trunk.eval()


def audio_trunk() -> nn.Module:
    """Return the "resnet9" of SeLaVi, torchvision's ResNet with one block a stage: (N, 1, 257, frames) -> (N, 512)."""
    from torchvision.models.resnet import BasicBlock, ResNet

    trunk = ResNet(BasicBlock, [1, 1, 1, 1])
    trunk.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    trunk.fc = nn.Identity()
    return trunk.eval()


class Trunks(nn.Module):
    """Both trunks under the names of the released checkpoint: video_network.base.* and audio_network.base.*.

    torchvision's modules, unless others of the same names are given.
    """

    def __init__(self, video: nn.Module | None = None, audio: nn.Module | None = None) -> None:
        super().__init__()
        self.video_network = nn.ModuleDict({"base": video_trunk() if video is None else video})
        self.audio_network = nn.ModuleDict({"base": audio_trunk() if audio is None else audio})

    @property
    def video(self) -> nn.Module:
        return self.video_network["base"]

    @property
    def audio(self) -> nn.Module:
        return self.audio_network["base"]


class ChannelsLast(nn.Module):
    """A video trunk on frames as a decoder gives them: (N, T, 112, 112, 3) -> (N, 512)."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, video: Tensor) -> Tensor:
        features: Tensor = self.trunk(video.permute(0, 4, 1, 2, 3))
        return features


class Kernels:
    """How a convolution and what follows it are computed: with `cudnn` in one kernel of cuDNN's, else one after the other."""

    def __init__(self, *, cudnn: bool = False) -> None:
        self._cudnn = cudnn

    def relu(self, x: Tensor, conv: _Folded) -> Tensor:
        """Return relu(conv(x))."""
        if self._cudnn:
            return torch.cudnn_convolution_relu(x, conv.weight, conv.bias, conv.stride, conv.padding, (1, 1), 1)
        return relu_(self.plain(x, conv))

    def add_relu(self, x: Tensor, conv: _Folded, other: Tensor) -> Tensor:
        """Return relu(conv(x) + other)."""
        if self._cudnn:
            return torch.cudnn_convolution_add_relu(
                x, conv.weight, other, 1.0, conv.bias, conv.stride, conv.padding, (1, 1), 1
            )
        return relu_(self.plain(x, conv).add_(other))

    def plain(self, x: Tensor, conv: _Folded) -> Tensor:
        """Return conv(x)."""
        return conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding)


class _Folded(nn.Module):
    """A convolution of 2-d images, channels last, with the BatchNorm behind it folded in."""

    weight: nn.Parameter
    bias: nn.Parameter
    stride: tuple[int, int]
    padding: tuple[int, int]

    def take(self, weight: Tensor, bias: Tensor, inputs: int, outputs: int) -> None:
        """Keep weights (O, I, h, w), with channels of zeros up to `inputs` and `outputs`."""
        weight = pad(weight, (0, 0, 0, 0, 0, inputs - weight.shape[1], 0, outputs - weight.shape[0]))
        self.weight = nn.Parameter(weight.contiguous(memory_format=CHANNELS_LAST), requires_grad=False)
        self.bias = nn.Parameter(pad(bias, (0, outputs - bias.shape[0])), requires_grad=False)


class _Spatial(_Folded):
    """A (1, k, k) convolution on frames: (N T, C, H, W). `multiple`: its output channels are filled up to one."""

    def __init__(self, conv: nn.Conv3d, norm: nn.BatchNorm3d, multiple: int = 1) -> None:
        super().__init__()
        weight, bias = _folded(conv, norm)
        self.take(weight.squeeze(2), bias, weight.shape[1], _up(weight.shape[0], multiple))
        self.stride, self.padding = (conv.stride[1], conv.stride[2]), _two(conv.padding[1:])


class _Temporal(_Folded):
    """A (3, 1, 1) convolution as a 2-d one over (time, pixels). `multiple`: as of the spatial one before it.

    With channels last in memory, frames (N T, C, H, W) and images (N, C, T, H W) are the same numbers in the same
    places, so both views are free.
    """

    def __init__(self, conv: nn.Conv3d, norm: nn.BatchNorm3d, multiple: int = 1) -> None:
        super().__init__()
        weight, bias = _folded(conv, norm)
        self.take(weight.squeeze(-1), bias, _up(weight.shape[1], multiple), weight.shape[0])
        self.stride, self.padding = (int(conv.stride[0]), 1), (int(conv.padding[0]), 0)

    def images(self, frames: Tensor, clips: int) -> Tensor:
        """Return frames (N T, C, H, W) as images (N, C, T, H W)."""
        channels, height, width = frames.shape[1:]
        return frames.permute(0, 2, 3, 1).view(clips, -1, height * width, channels).permute(0, 3, 1, 2)

    def frames(self, images: Tensor, height: int, width: int) -> Tensor:
        """Return images (N, C, T, H W) as frames (N T, C, H, W)."""
        return images.permute(0, 2, 3, 1).reshape(-1, height, width, images.shape[1]).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """A residual block of R(2+1)D: two spatial and two temporal convolutions."""

    def __init__(self, block: Any, kernels: Kernels, multiple: int) -> None:
        super().__init__()
        first, second = block.conv1, block.conv2
        self.spatial1 = _Spatial(first[0][0], first[0][1], multiple)
        self.temporal1 = _Temporal(first[0][3], first[1], multiple)
        self.spatial2 = _Spatial(second[0][0], second[0][1], multiple)
        self.temporal2 = _Temporal(second[0][3], second[1], multiple)
        self.kernels = kernels
        self.shortcut: _Spatial | None = None
        self.time_stride = 1
        if block.downsample is not None:
            self.shortcut = _Spatial(block.downsample[0], block.downsample[1])
            self.time_stride = block.downsample[0].stride[0]

    def forward(self, frames: Tensor, clips: int) -> Tensor:
        out = self.kernels.relu(frames, self.spatial1)
        height, width = out.shape[2:]
        out = self.temporal1.frames(self.kernels.relu(self.temporal1.images(out, clips), self.temporal1), height, width)
        out = self.kernels.relu(out, self.spatial2)
        if self.shortcut is not None:
            frames = frames.view(clips, -1, *frames.shape[1:])[:, :: self.time_stride].flatten(0, 1)
            frames = self.kernels.plain(frames.contiguous(memory_format=CHANNELS_LAST), self.shortcut)
        images = self.temporal2.images(out, clips)
        kept = self.temporal2.images(frames, clips)
        return self.temporal2.frames(self.kernels.add_relu(images, self.temporal2, kept), *out.shape[2:])


class FusedVideoTrunk(nn.Module):
    """R(2+1)D-18 with BatchNorm folded and every (2+1)D convolution run as a 2-d and a temporal convolution.

    The same function as `video_trunk` up to float32 rounding (relative 1e-6), on a CPU about twice as fast: 3-d
    convolutions of these shapes reach half of what 2-d ones with channels last do. `multiple`: channels between the two
    convolutions are filled up to a multiple with zeros, as a GPU's matrix units want it (45, 230, 460 and 921 are none of 8).
    """

    def __init__(self, trunk: Any, kernels: Kernels | None = None, multiple: int = 1) -> None:
        super().__init__()
        stem = trunk.stem
        self.kernels = kernels or Kernels()
        self.spatial, self.temporal = _Spatial(stem[0], stem[1], multiple), _Temporal(stem[3], stem[4], multiple)
        stages = [trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4]
        self.blocks = nn.ModuleList([_Block(block, self.kernels, multiple) for stage in stages for block in stage])

    def forward(self, video: Tensor) -> Tensor:
        """(N, T, 112, 112, 3), channels last in memory as a decoder gives them -> (N, 512) float32."""
        clips = video.shape[0]
        frames = self.kernels.relu(video.flatten(0, 1).permute(0, 3, 1, 2), self.spatial)
        images = self.kernels.relu(self.temporal.images(frames, clips), self.temporal)
        frames = self.temporal.frames(images, *frames.shape[2:])
        for block in self.blocks:
            frames = block(frames, clips)
        return frames.float().view(clips, -1, *frames.shape[1:]).mean(dim=(1, 3, 4))


class FusedAudioTrunk(nn.Module):
    """The audio trunk with BatchNorm folded: (N, 1, 257, frames) -> (N, 512)."""

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        self.stem = fuse_conv_bn_eval(trunk.conv1, trunk.bn1)
        self.blocks: Any = nn.ModuleList()
        for stage in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
            block = stage[0]
            parts = {
                "conv1": fuse_conv_bn_eval(block.conv1, block.bn1),
                "conv2": fuse_conv_bn_eval(block.conv2, block.bn2),
            }
            if block.downsample is not None:
                parts["shortcut"] = fuse_conv_bn_eval(block.downsample[0], block.downsample[1])
            self.blocks.append(nn.ModuleDict(parts))
        self.to(memory_format=CHANNELS_LAST)

    def forward(self, audio: Tensor) -> Tensor:
        out = max_pool2d(relu_(self.stem(audio.contiguous(memory_format=CHANNELS_LAST))), 3, 2, 1)
        for block in self.blocks:
            kept = block["shortcut"](out) if "shortcut" in block else out
            out = block["conv2"](relu_(block["conv1"](out)))
            out = relu_(out.add_(kept))
        return out.float().mean(dim=(2, 3))


def _folded(conv: nn.Conv3d, norm: Any) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the convolution followed by its BatchNorm in eval mode."""
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return weight.detach(), bias.detach()


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _two(values: Any) -> tuple[int, int]:
    return int(values[0]), int(values[1])
