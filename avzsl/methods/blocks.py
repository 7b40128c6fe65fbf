"""Parts that several methods share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.runtime.products import affine, by_onednn, mkl_is_held_back

CACHED_ROWS = 1024
# Squared distances below this share of a point's own squared norm are taken from differences.
NEAR = 0.1
# Passes that only move batch-norm statistics are not run where their weight is below this at the end of the epoch.
NEGLIGIBLE = 1e-18


def counting_steps(momentum: float, passes: int) -> int:
    """Return how many last steps of an epoch count in statistics that move `passes` times a step with `momentum`."""
    return math.ceil(math.log(NEGLIGIBLE) / (passes * math.log1p(-momentum)))


# Set while the seeds of a method are computed together: the masks of dropout in order, or none where it draws its own.
_DROPPING: ContextVar[tuple[Iterator[Tensor] | None] | None] = ContextVar("dropping", default=None)


@contextlib.contextmanager
def dropping(masks: Iterable[Tensor] | None) -> Iterator[None]:
    """Let layers be PyTorch's own in the block, as `torch.func` wants them, and every dropout take the next of `masks`."""
    token = _DROPPING.set((None if masks is None else iter(masks),))
    try:
        yield
    finally:
        _DROPPING.reset(token)


class Linear(nn.Linear):
    """`torch.nn.Linear`, on AMD processors with AVX-512 through oneDNN (`avzsl.runtime.products`).

    Everywhere else, and for all other types, this is PyTorch's own layer.
    """

    def forward(self, x: Tensor) -> Tensor:
        plain = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu") or _DROPPING.get() is not None
        plain = plain or not x.numel()  # of features that lack a modality
        if plain or x.device.type != "cpu" or x.dtype is not torch.float32 or not mkl_is_held_back():
            return super().forward(x)
        product: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), self.weight)
        if self.bias is not None:
            product = product + self.bias
        return product.view(*x.shape[:-1], self.out_features)


class _Product(torch.autograd.Function):
    """a (N, K), b (M, K) -> a b^T (N, M) by oneDNN; differentiable any number of times, as a gradient penalty needs."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return by_onednn(a, b)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors  # type: ignore[attr-defined]
        (gradient,) = gradients
        needs_a, needs_b = ctx.needs_input_grad  # type: ignore[attr-defined]
        return (
            _Product.apply(gradient, b.T) if needs_a else None,
            _Product.apply(gradient.T, a.T) if needs_b else None,
        )


class Dropout(nn.Module):
    """Dropout whose masks cost a quarter of the library's on a CPU, where they are a seventh of a training step.

    Sixteen random bits decide about a value, so the share that is kept is a multiple of 2^-16; the scale follows it.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._kept = round((1 - p) * 2**16)

    def forward(self, x: Tensor) -> Tensor:
        together = _DROPPING.get()
        if together is not None and together[0] is not None and self.training and self.p:
            return x * next(together[0])
        plain = x.device.type != "cpu" or torch.compiler.is_compiling() or together is not None
        if not self.training or self.p == 0 or plain:
            return functional.dropout(x, self.p, self.training)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        return x * (bits < self._kept - 2**15).to(x.dtype).mul_(2**16 / max(self._kept, 1))


def layer(inputs: int, outputs: int, dropout: float, momentum: float = 0.1) -> nn.Sequential:
    """Linear, batch norm, ReLU, dropout: (B, inputs) -> (B, outputs). Momentum is the weight of the newest batch."""
    return nn.Sequential(
        Linear(inputs, outputs), nn.BatchNorm1d(outputs, momentum=momentum), nn.ReLU(), Dropout(dropout)
    )


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return max(0, |a - p| - |a - n| + margin) for each row, (B,).

    The norm is Euclidean, with 1e-6 added to every coordinate of the difference; the papers do not say so, PyTorch's
    triplet loss, which the released code uses, does.
    """
    return functional.triplet_margin_loss(anchor, positive, negative, margin=margin, reduction="none")


def pairwise(points: Tensor, classes: Tensor) -> Tensor:
    """Return Euclidean distances (N, C) between `points` (N, D) and `classes` (C, D).

    By the matrix-product formula, several times faster than differences. Where a gradient is wanted, on a GPU and for
    other types than float32 it is taken in float64. Elsewhere in float32 about the centre of the classes, with the near
    pairs, for which the formula cancels, from their differences: the relative error stays below 1e-5, that of a float32
    network. (`torch.cdist` takes the formula in float32 above 25 rows, for near points with an error up to 1e-2.)
    """
    if points.requires_grad or classes.requires_grad or points.is_cuda or points.dtype is not torch.float32:
        p, c = points.double(), classes.double()
        squared = torch.addmm((c * c).sum(1), p, c.T, alpha=-2) + (p * p).sum(1, keepdim=True)
        return squared.clamp_min(0).to(points.dtype).sqrt()
    centre = classes.mean(0)
    p, c = points - centre, classes - centre
    squared_p, squared_c, factor = (p * p).sum(1, keepdim=True), (c * c).sum(1), -2 * c
    result = torch.empty(len(p), len(c))
    for start in range(0, len(p), CACHED_ROWS):  # pieces that stay in the cache
        rows = slice(start, start + CACHED_ROWS)
        part, limit = p[rows], NEAR * squared_p[rows]
        squared = affine(part, factor, squared_c).add_(squared_p[rows])
        # Clips first that have a near class at all: to search every pair takes twice the time of the product.
        [some] = (squared.amin(1, keepdim=True) < limit).squeeze(1).nonzero(as_tuple=True)
        clip, of = (squared[some] < limit[some]).nonzero(as_tuple=True)
        squared[some[clip], of] = (part[some[clip]] - c[of]).square().sum(1)
        torch.sqrt(squared, out=result[rows])
    return result
