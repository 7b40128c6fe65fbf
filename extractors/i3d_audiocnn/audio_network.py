"""The audio network of CJME: the convolutions of Kumar, Khadkevich and Fuegen (ICASSP 2018), whose seventh block is the feature."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from extractors.i3d_audiocnn.sound import BANDS

DIM = 1024
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
        self.register_buffer("band_mean", torch.zeros(BANDS))
        self.register_buffer("band_deviation", torch.ones(BANDS))

    band_mean: Tensor
    band_deviation: Tensor

    def forward(self, frames: Tensor) -> Tensor:
        x = frames[:, None]
        for number in range(1, 19):
            x = self.get_submodule(f"layer{number}")(x)
        return x.squeeze(3).transpose(1, 2)

    def logits(self, features: Tensor) -> Tensor:
        """Return logits of every segment, (N, segments, labels), from features (N, segments, 1024)."""
        scored: Tensor = self.layer19(features.transpose(1, 2)[..., None])
        return scored.squeeze(3).transpose(1, 2)

    def standardised(self, frames: Tensor) -> Tensor:
        """Return dB frames as the network takes them: each band less its mean, over its deviation."""
        return (frames - self.band_mean) / self.band_deviation


def audio_network(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors as those of an `AudioNetwork`: ours, or without bands, which weak_feature_extractor's has not."""
    return {"band_mean": torch.zeros(BANDS), "band_deviation": torch.ones(BANDS), **tensors}


def labels_of(tensors: Mapping[str, Tensor]) -> int:
    """Return the number of labels of a file's network; 0 if it has none."""
    last = tensors.get("layer19.0.weight")
    return 0 if last is None or last.ndim == 0 else len(last)
