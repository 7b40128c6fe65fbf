"""3 x 3 x 3 convolutions on a CPU with fewer multiplications (Winograd's F(2 x 2, 3 x 3): Lavin and Gray, CVPR 2016).

Each plane of 2 x 2 outputs takes 16 products in the place of 36; the three planes in time are added up. float32, relative
difference below 1e-6. Maps have channels last: (frames, height, width, channels) of one clip.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Tiles that are transformed at once: what they take should stay in the caches.
TILES = 2048
_KERNEL = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


class Winograd(nn.Module):
    """A convolution of 3 x 3 x 3, stride 1, padding 1, and the ReLU after it: (T, H, W, C) -> (T, H, W, D)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        kernel = torch.tensor(_KERNEL, dtype=torch.float64)
        planes = torch.einsum("ai,octij,bj->tabco", kernel, weight.detach().double(), kernel)
        self.register_buffer("planes", planes.reshape(3, 16, weight.shape[1], weight.shape[0]).float().contiguous())
        self.register_buffer("bias", bias.detach().float())

    planes: Tensor
    bias: Tensor

    def forward(self, x: Tensor) -> Tensor:
        frames, height, width, _ = x.shape
        high, wide = (height + 1) // 2, (width + 1) // 2
        padded = functional.pad(x, (0, 0, 1, 1 + 2 * wide - width, 1, 1 + 2 * high - height))
        out = x.new_empty(frames, high, 2, wide, 2, self.bias.numel())
        rows = max(1, min(high, TILES // (frames * wide)))
        for top in range(0, high, rows):
            count = min(rows, high - top)
            tiles = _transformed(padded[:, 2 * top : 2 * (top + count) + 2], count, wide)
            self._combine(self._products(tiles, frames), out[:, top : top + count])
        out += self.bias
        return functional.relu_(out).view(frames, 2 * high, 2 * wide, -1)[:, :height, :width]

    def _products(self, tiles: Tensor, frames: int) -> Tensor:
        shape = tiles.shape
        flat = tiles.view(16, -1, shape[-1])
        step = flat.shape[1] // frames
        products = torch.bmm(flat, self.planes[1])
        if frames > 1:
            products[:, step:].baddbmm_(flat[:, :-step], self.planes[0])
            products[:, :-step].baddbmm_(flat[:, step:], self.planes[2])
        return products.view(*shape[:-1], -1)

    @staticmethod
    def _combine(m: Tensor, out: Tensor) -> None:
        """Sum products (4, 4, T, rows, columns, D) up to outputs (T, rows, 2, columns, 2, D)."""
        for row, part in enumerate((m[0] + m[1] + m[2], m[1] - m[2] - m[3])):
            out[:, :, row, :, 0] = part[0] + part[1] + part[2]
            out[:, :, row, :, 1] = part[1] - part[2] - part[3]


def _transformed(x: Tensor, high: int, wide: int) -> Tensor:
    """Return the tiles of rows (T, 2 high + 2, 2 wide + 2, C) as sums and differences: (4, 4, T, high, wide, C)."""
    frames, _, _, channels = x.shape
    rows = [x[:, i : i + 2 * high - 1 : 2] for i in range(4)]
    down = x.new_empty(4, frames, high, 2 * wide + 2, channels)
    _differences(rows, [down[i] for i in range(4)])
    columns = [down[:, :, :, i : i + 2 * wide - 1 : 2] for i in range(4)]
    tiles = x.new_empty(4, 4, frames, high, wide, channels)
    _differences(columns, [tiles[:, i] for i in range(4)])
    return tiles


def _differences(parts: list[Tensor], into: list[Tensor]) -> None:
    torch.sub(parts[0], parts[2], out=into[0])
    torch.add(parts[1], parts[2], out=into[1])
    torch.sub(parts[2], parts[1], out=into[2])
    torch.sub(parts[1], parts[3], out=into[3])
