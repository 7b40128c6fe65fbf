"""The libraries' layers that multiply matrices, by the faster of PyTorch's libraries or in bfloat16.

Nearly all the work of both networks is in them. What is between them, and every sum of residuals, stays float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.runtime.products import affine


def swap_layers(network: nn.Module, dtype: torch.dtype, *, narrow: bool) -> None:
    """Put `Linear` and `Attention` in the place of every such layer of torch inside `network`, for inference alone.

    With `narrow` they give what they computed in `dtype` as it is, which the layers behind them have to take; else in the type
    that they were given.
    """
    for name, part in network.named_children():
        if isinstance(part, nn.MultiheadAttention):
            setattr(network, name, Attention(part, dtype))
        elif isinstance(part, nn.Linear):
            setattr(network, name, Linear(part.weight, part.bias, dtype, narrow=narrow))
        else:
            swap_layers(part, dtype, narrow=narrow)


class Linear(nn.Module):
    """x (..., K) -> (..., M) with the weight (M, K) in `dtype`."""

    def __init__(self, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, *, narrow: bool) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().to(dtype))
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype))
        self._narrow = narrow

    def forward(self, x: Tensor) -> Tensor:
        weight = self.get_buffer("weight")
        rows = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        out = affine(rows, weight, self.bias).view(*x.shape[:-1], len(weight))  # type: ignore[arg-type]
        return out if self._narrow else out.to(x.dtype)


class Attention(nn.Module):
    """x (N, T, D) -> (N, T, D): torch's attention of a sequence to itself, without a mask."""

    def __init__(self, attention: nn.MultiheadAttention, dtype: torch.dtype) -> None:
        super().__init__()
        weight, bias, out = attention.in_proj_weight, attention.in_proj_bias, attention.out_proj
        self._heads = attention.num_heads
        self.taken = Linear(weight, bias, dtype, narrow=True)
        self.given = Linear(out.weight, out.bias, dtype, narrow=True)

    def forward(self, x: Tensor, *_: Tensor, attn_mask: None = None, need_weights: bool = False) -> tuple[Tensor, None]:
        """Take torch's arguments (queries, keys and values are one) and give its pair; there are no weights to show."""
        length = x.shape[1]
        parts = self.taken(x).view(len(x), length, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(*parts.unbind(0))
        return self.given(found.transpose(1, 2).reshape(len(x), length, -1)), None
