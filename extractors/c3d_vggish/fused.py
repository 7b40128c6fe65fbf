"""C3D on a CPU: the same function with fewer multiplications, channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from extractors.c3d_vggish.networks import C3D, CONVOLUTIONS
from extractors.winograd import Winograd


class FusedC3D(nn.Module):
    """Windows (N, 3, 16, 112, 112) -> as `C3D`, up to float32 rounding (relative 1e-6), one after the other.

    The first convolution, of three channels, runs on three frames at once in two dimensions, the others as Winograd's.
    """

    def __init__(self, network: C3D) -> None:
        super().__init__()
        weight, bias = network.get_submodule("conv1").parameters()
        flat = weight.detach().permute(0, 2, 1, 3, 4).flatten(1, 2)
        self.register_buffer("weight", flat.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias.detach())
        self.convolutions = nn.ModuleList(
            [Winograd(*network.get_submodule(name).parameters()) for name, *_ in CONVOLUTIONS[1:]]
        )
        self.fc6, self.fc7, self.layer = network.fc6, network.fc7, network.layer

    weight: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.stack([self._pooled(window) for window in x])
        flat = functional.relu_(self.fc6(flat))
        return flat if self.layer == "fc6" else functional.relu_(self.fc7(flat))

    def _pooled(self, window: Tensor) -> Tensor:
        frames = functional.pad(window.transpose(0, 1), (0, 0, 0, 0, 0, 0, 1, 1))
        triples = torch.cat([frames[:-2], frames[1:-1], frames[2:]], dim=1).contiguous(
            memory_format=torch.channels_last
        )
        x = functional.relu_(functional.conv2d(triples, self.weight, self.bias, padding=1)).permute(0, 2, 3, 1)
        for (name, _, _, pool), convolution in zip(CONVOLUTIONS, [None, *self.convolutions], strict=True):
            x = x if convolution is None else convolution(x)
            if pool is not None:
                maps = x.permute(3, 0, 1, 2)[None]
                maps = functional.max_pool3d(maps, pool, pool, padding=(0, 1, 1) if name == "conv5b" else 0)
                x = maps[0].permute(1, 2, 3, 0).contiguous()
        return x.permute(3, 0, 1, 2).flatten()
