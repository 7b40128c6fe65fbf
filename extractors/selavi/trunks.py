"""SeLaVi's two trunks, and a faster form of the video trunk that computes the same function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, relu_
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.video import r2plus1d_18

DIM = 512
CHANNELS_LAST = torch.channels_last


def video_trunk() -> nn.Module:
    """Return torchvision's R(2+1)D-18 without its classifier: (N, 3, T, 112, 112) -> (N, 512)."""
    trunk = r2plus1d_18(weights=None)
    trunk.fc = nn.Identity()
    return trunk.eval()


def audio_trunk() -> nn.Module:
    """Return the "resnet9" of SeLaVi, torchvision's ResNet with one block a stage: (N, 1, 257, frames) -> (N, 512)."""
    trunk = ResNet(BasicBlock, [1, 1, 1, 1])
    trunk.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    trunk.fc = nn.Identity()
    return trunk.eval()


class Trunks(nn.Module):
    """Both trunks under the names of the released checkpoint: video_network.base.* and audio_network.base.*."""

    def __init__(self) -> None:
        super().__init__()
        self.video_network = nn.ModuleDict({"base": video_trunk()})
        self.audio_network = nn.ModuleDict({"base": audio_trunk()})

    @property
    def video(self) -> nn.Module:
        return self.video_network["base"]

    @property
    def audio(self) -> nn.Module:
        return self.audio_network["base"]


class _Spatial(nn.Module):
    """A (1, k, k) convolution with its BatchNorm folded in, on frames: (N T, C, H, W) channels-last."""

    def __init__(self, conv: nn.Conv3d, norm: nn.BatchNorm3d) -> None:
        super().__init__()
        weight, bias = _folded(conv, norm)
        self.weight = nn.Parameter(weight.squeeze(2).contiguous(memory_format=CHANNELS_LAST), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.stride, self.padding = conv.stride[1:], conv.padding[1:]

    def forward(self, frames: Tensor) -> Tensor:
        return conv2d(frames, self.weight, self.bias, self.stride, self.padding)


class _Temporal(nn.Module):
    """A (3, 1, 1) convolution with its BatchNorm folded in, as a 2-d one over (time, pixels).

    With channels last in memory, frames (N T, C, H, W) and images (N, C, T, H W) are the same numbers in the same
    places, so both views are free.
    """

    def __init__(self, conv: nn.Conv3d, norm: nn.BatchNorm3d) -> None:
        super().__init__()
        weight, bias = _folded(conv, norm)
        self.weight = nn.Parameter(weight.squeeze(-1).contiguous(memory_format=CHANNELS_LAST), requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.stride, self.padding = (int(conv.stride[0]), 1), (int(conv.padding[0]), 0)

    def forward(self, frames: Tensor, clips: int) -> Tensor:
        channels, height, width = frames.shape[1:]
        images = frames.permute(0, 2, 3, 1).view(clips, -1, height * width, channels).permute(0, 3, 1, 2)
        images = conv2d(images, self.weight, self.bias, self.stride, self.padding)
        return images.permute(0, 2, 3, 1).reshape(-1, height, width, self.weight.shape[0]).permute(0, 3, 1, 2)


class _Block(nn.Module):
    """A residual block of R(2+1)D: two spatial and two temporal convolutions."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        first, second = block.conv1, block.conv2
        self.spatial1, self.temporal1 = _Spatial(first[0][0], first[0][1]), _Temporal(first[0][3], first[1])
        self.spatial2, self.temporal2 = _Spatial(second[0][0], second[0][1]), _Temporal(second[0][3], second[1])
        self.shortcut: _Spatial | None = None
        self.time_stride = 1
        if block.downsample is not None:
            self.shortcut = _Spatial(block.downsample[0], block.downsample[1])
            self.time_stride = block.downsample[0].stride[0]

    def forward(self, frames: Tensor, clips: int) -> Tensor:
        out = relu_(self.temporal1(relu_(self.spatial1(frames)), clips))
        out = self.temporal2(relu_(self.spatial2(out)), clips)
        if self.shortcut is not None:
            frames = frames.view(clips, -1, *frames.shape[1:])[:, :: self.time_stride].flatten(0, 1)
            frames = self.shortcut(frames.contiguous(memory_format=CHANNELS_LAST))
        return relu_(out.add_(frames))


class FusedVideoTrunk(nn.Module):
    """R(2+1)D-18 with BatchNorm folded and every (2+1)D convolution run as a 2-d and a temporal convolution.

    The same function as `video_trunk` up to float32 rounding (relative 1e-6), on a CPU about twice as fast: 3-d
    convolutions of these shapes reach half of what 2-d ones with channels last do.
    """

    def __init__(self, trunk: Any) -> None:
        super().__init__()
        stem = trunk.stem
        self.spatial, self.temporal = _Spatial(stem[0], stem[1]), _Temporal(stem[3], stem[4])
        stages = [trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4]
        self.blocks = nn.ModuleList([_Block(block) for stage in stages for block in stage])

    def forward(self, video: Tensor) -> Tensor:
        """(N, T, 112, 112, 3), channels last in memory as a decoder gives them -> (N, 512) float32."""
        clips = video.shape[0]
        frames = video.flatten(0, 1).permute(0, 3, 1, 2)
        frames = relu_(self.temporal(relu_(self.spatial(frames)), clips))
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
