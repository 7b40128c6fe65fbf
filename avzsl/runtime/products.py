"""Which of PyTorch's two libraries multiplies matrices faster on this processor."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

PROCESSOR = Path("/proc/cpuinfo")


@cache
def mkl_is_held_back() -> bool:
    """Return whether oneDNN may use AVX-512 here and MKL will not.

    PyTorch multiplies float32 matrices with MKL, which keeps to AVX2 on processors that are not Intel's. Its other library,
    oneDNN, is twice as fast on Zen 5 and a twentieth faster on Zen 4, whose AVX-512 is two halves.
    """
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (available and torch.backends.cpu.get_cpu_capability().startswith("AVX512")):
        return False
    return PROCESSOR.is_file() and "AuthenticAMD" in PROCESSOR.read_text(encoding="ascii", errors="replace")


def by_onednn(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a (N, K), b (M, K), bias (M) -> a b^T + bias (N, M) by oneDNN; without gradients."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
    return product


def affine(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a (N, K), b (M, K), bias (M) -> a b^T + bias (N, M) by the faster library; without gradients.

    Both compute in float32, and take the sums in another order.
    """
    if a.device.type == "cpu" and a.dtype is torch.float32 and mkl_is_held_back():
        return by_onednn(a, b, bias)
    return functional.linear(a, b, bias)
