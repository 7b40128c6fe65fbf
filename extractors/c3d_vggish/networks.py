"""C3D (Tran et al., ICCV 2015) and VGGish (Hershey et al., ICASSP 2017), with the tensor names of their released weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

VISUAL_DIM, AUDIO_DIM = 4096, 128
FRAMES, SIDE = 16, 112
# What C3D was trained to tell apart, the labels of Sports-1M.
LABELS = 487
# (name, channels in, channels out, pooling after it).
CONVOLUTIONS = (
    ("conv1", 3, 64, (1, 2, 2)),
    ("conv2", 64, 128, (2, 2, 2)),
    ("conv3a", 128, 256, None),
    ("conv3b", 256, 256, (2, 2, 2)),
    ("conv4a", 256, 512, None),
    ("conv4b", 512, 512, (2, 2, 2)),
    ("conv5a", 512, 512, None),
    ("conv5b", 512, 512, (2, 2, 2)),
)


class C3D(nn.Module):
    """Windows of 16 frames (N, 3, 16, 112, 112) -> fc7 or fc6 after their ReLU, (N, 4096)."""

    def __init__(self, layer: str = "fc7") -> None:
        super().__init__()
        self.layer = layer
        for name, inputs, outputs, _ in CONVOLUTIONS:
            self.add_module(name, nn.Conv3d(inputs, outputs, 3, padding=1))
        # 512 channels of 1 x 4 x 4.
        self.fc6, self.fc7 = nn.Linear(8192, VISUAL_DIM), nn.Linear(VISUAL_DIM, VISUAL_DIM)

    def pooled(self, x: Tensor) -> list[Tensor]:
        """Return the maps after each of the five poolings."""
        maps = []
        for name, _, _, pool in CONVOLUTIONS:
            x = functional.relu_(self.get_submodule(name)(x))
            if pool is not None:
                x = functional.max_pool3d(x, pool, pool, padding=(0, 1, 1) if name == "conv5b" else 0)
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu_(self.fc6(self.pooled(x)[-1].flatten(1)))
        return x if self.layer == "fc6" else functional.relu_(self.fc7(x))


class VGGish(nn.Module):
    """Log-mel examples (N, 96, 64) -> (N, 128), after the last ReLU."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for outputs in (64, None, 128, None, 256, 256, None, 512, 512, None):
            if outputs is None:
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(12288, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, 4096), nn.ReLU(inplace=True),
            nn.Linear(4096, AUDIO_DIM), nn.ReLU(inplace=True),
        )  # fmt: skip

    def forward(self, examples: Tensor) -> Tensor:
        # TensorFlow's order: height, width, channels.
        maps = self.features(examples[:, None]).permute(0, 2, 3, 1)
        embedded: Tensor = self.embeddings(maps.flatten(1))
        return embedded


class Quantiser(nn.Module):
    """VGGish embeddings (N, 128) -> whitened by YouTube-8M's components and, by default, quantised to 0 ... 255, float32.

    The released code truncates to whole numbers; torchvggish, whose weights these are, rounds.
    """

    def __init__(self, components: Tensor, means: Tensor, quantised: bool = True) -> None:
        super().__init__()
        self.register_buffer("components", components)
        self.register_buffer("means", means.reshape(-1))
        self.quantised = quantised

    components: Tensor
    means: Tensor

    def forward(self, embedded: Tensor) -> Tensor:
        whitened = (embedded - self.means) @ self.components.T
        if not self.quantised:
            return whitened
        return torch.floor((whitened.clamp(-2.0, 2.0) + 2.0) * (255.0 / 4.0))
