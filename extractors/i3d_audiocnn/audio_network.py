"""The audio network of CJME: the convolutions of Kumar, Khadkevich and Fuegen (ICASSP 2018), whose seventh block is the feature."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from avzsl.pretrained.checkpoints import read_checkpoint

DIM = 1024
FRAMES, HOP = 128, 64  # of one segment
BANDS = 128
# Channels of the two convolutions of blocks 1 to 5; block 6 has one.
BLOCKS = (16, 32, 64, 128, 256)


def unit(inputs: int, outputs: int, kernel: int, padding: int) -> nn.Sequential:
    """Return convolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=padding), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class AudioNetwork(nn.Module):
    """Log-mel frames (N, frames, 128), at least 128 of them -> the feature of every segment, (N, segments, 1024).

    A segment is 128 frames, the next one begins 64 later: frames are halved six times, rounding down, and a 2 x 2
    convolution follows. `scores` are logits of `labels` classes. Layers bear the numbers of the released code.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        number, inputs = 1, 1
        for outputs in BLOCKS:
            self.add_module(f"layer{number}", unit(inputs, outputs, 3, 1))
            self.add_module(f"layer{number + 1}", unit(outputs, outputs, 3, 1))
            self.add_module(f"layer{number + 2}", nn.MaxPool2d(2))
            number, inputs = number + 3, outputs
        self.layer16, self.layer17 = unit(inputs, 512, 3, 1), nn.MaxPool2d(2)
        self.layer18 = unit(512, DIM, 2, 0)
        self.layer19 = nn.Sequential(nn.Conv2d(DIM, labels, 1))

    def forward(self, frames: Tensor) -> Tensor:
        x = frames[:, None]
        for number in range(1, 19):
            x = self.get_submodule(f"layer{number}")(x)
        return x.squeeze(3).transpose(1, 2)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits of every segment, (N, segments, labels), from features (N, segments, 1024)."""
        scored: Tensor = self.layer19(features.transpose(1, 2)[..., None])
        return scored.squeeze(3).transpose(1, 2)


def read_audio_network(path: Path, labels: int) -> AudioNetwork:
    """Return the network with the weights of a file, ours or weak_feature_extractor's `mx-h64-1024_0d3-1.17.pkl` (527 labels).

    Raises DataError for a file of another layout.
    """
    with torch.device("meta"):
        network = AudioNetwork(labels)
    network.load_state_dict(read_checkpoint(path, network.state_dict()), assign=True)
    return network.eval()
