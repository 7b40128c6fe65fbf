"""The linear layer of every method, with the faster of PyTorch's two matrix libraries for the processor at hand."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

PROCESSOR = Path("/proc/cpuinfo")


class Linear(nn.Linear):
    """`torch.nn.Linear`, on AMD processors with AVX-512 through oneDNN.

    PyTorch multiplies float32 matrices with MKL, which keeps to AVX2 on processors that are not Intel's and so reaches
    less than half the rate that PyTorch's other library, oneDNN, reaches there. The arithmetic is float32 in both, the
    sums are taken in another order. Everywhere else, and for all other types, this is PyTorch's own layer.
    """

    def forward(self, x: Tensor) -> Tensor:
        plain = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
        if plain or x.device.type != "cpu" or x.dtype is not torch.float32 or not mkl_is_held_back():
            return super().forward(x)
        product: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), self.weight)
        if self.bias is not None:
            product = product + self.bias
        return product.view(*x.shape[:-1], -1)


@cache
def mkl_is_held_back() -> bool:
    """Return whether oneDNN may use AVX-512 here and MKL will not."""
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (available and torch.backends.cpu.get_cpu_capability().startswith("AVX512")):
        return False
    return PROCESSOR.is_file() and "AuthenticAMD" in PROCESSOR.read_text(encoding="ascii", errors="replace")


class _Product(torch.autograd.Function):
    """a (N, K), b (M, K) -> a b^T (N, M) by oneDNN; differentiable any number of times, as a gradient penalty needs."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        return product

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors  # type: ignore[attr-defined]
        (gradient,) = gradients
        needs_a, needs_b = ctx.needs_input_grad  # type: ignore[attr-defined]
        return (
            _Product.apply(gradient, b.T) if needs_a else None,
            _Product.apply(gradient.T, a.T) if needs_b else None,
        )
