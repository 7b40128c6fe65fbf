"""Parts that several methods share."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from avzsl.runtime.products import affine, by_onednn, mkl_is_held_back

CACHED_ROWS = 1024
# Squared distances below this share of a point's own squared norm are taken from differences.
NEAR = 0.1
# Passes that only move batch-norm statistics are not run where their weight is below this at the end of the epoch.
NEGLIGIBLE = 1e-18
# What PyTorch's triplet loss adds to every coordinate of a difference.
TRIPLET_EPS = 1e-6


def counting_steps(momentum: float, passes: int) -> int:
    """Return how many last steps of an epoch count in statistics that move `passes` times a step with `momentum`."""
    return math.ceil(math.log(NEGLIGIBLE) / (passes * math.log1p(-momentum)))


# Set while the seeds of a method are computed together: the masks of dropout in order, or none where it draws its own; or
# what is asked of every dropout in order (`dropouts_of`).
_DROPPING: ContextVar[tuple[Iterator[Tensor] | None] | list[Asked] | None] = ContextVar("dropping", default=None)


@contextlib.contextmanager
def dropping(masks: Iterable[Tensor] | None) -> Iterator[None]:
    """Let layers be PyTorch's own in the block, as `torch.func` wants them, and every dropout take the next of `masks`."""
    token = _DROPPING.set((None if masks is None else iter(masks),))
    try:
        yield
    finally:
        _DROPPING.reset(token)


@contextlib.contextmanager
def dropouts_of() -> Iterator[list[Asked]]:
    """Yield a list that gets every dropout that is asked for in the block, with the shape and type of its mask; none drops."""
    asked: list[Asked] = []
    token = _DROPPING.set(asked)
    try:
        yield asked
    finally:
        _DROPPING.reset(token)


def as_pytorch_does(x: Tensor) -> bool:
    """Return whether layers compute x as PyTorch's own do: where something records them, on a GPU, and of nothing."""
    recorded = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu") or _DROPPING.get() is not None
    return recorded or x.device.type != "cpu" or not x.numel()  # nothing: features that lack a modality


class Linear(nn.Linear):
    """`torch.nn.Linear`, on AMD processors with AVX-512 through oneDNN (`avzsl.runtime.products`).

    The processor's kind decides, not a measurement, so that a machine gives the same numbers in every run. The arithmetic is
    float32 in both, the sums are taken in another order. Everywhere else, and for all other types, this is PyTorch's own layer.
    """

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x (..., K) times `weight` (M, K) transposed, plus `bias` (M,), as `Linear` does."""
    if as_pytorch_does(x) or x.dtype is not torch.float32 or not mkl_is_held_back():
        return functional.linear(x, weight, bias)
    product: Tensor = _Product.apply(x.reshape(-1, x.shape[-1]), weight, bias)
    return product.view(*x.shape[:-1], len(weight))


class _Product(torch.autograd.Function):
    """a (N, K), b (M, K) -> a b^T + bias (N, M) by oneDNN; differentiable any number of times, as a gradient penalty needs."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b)
        return by_onednn(a, b, bias)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors  # type: ignore[attr-defined]
        (gradient,) = gradients
        needs_a, needs_b, needs_bias = ctx.needs_input_grad  # type: ignore[attr-defined]
        return (
            _Product.apply(gradient, b.T, None) if needs_a else None,
            _Product.apply(gradient.T, a.T, None) if needs_b else None,
            gradient.sum(0) if needs_bias else None,
        )


class Dropout(nn.Module):
    """Dropout whose masks cost a tenth of the library's on a CPU, where they are a seventh of a training step.

    Sixteen random bits decide about a value, so the share that is kept is a multiple of 2^-16; the scale follows it.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self._kept = round((1 - p) * 2**16)

    @property
    def limit(self) -> float:
        """Return what a value's noise must exceed for the value to be kept."""
        return 2**15 - 1 - self._kept

    @property
    def scale(self) -> float:
        """Return the factor of what is kept."""
        return 2**16 / max(self._kept, 1)

    def forward(self, x: Tensor) -> Tensor:
        together = _DROPPING.get()
        if isinstance(together, list):
            if self.training and self.p:
                together.append((self, x.shape, x.dtype))
            return x
        if together is not None and together[0] is not None and self.training and self.p:
            return x * next(together[0])
        plain = x.device.type != "cpu" or torch.compiler.is_compiling() or together is not None
        if not self.training or self.p == 0 or plain:
            return functional.dropout(x, self.p, self.training)
        return x * self.mask(x.shape, x.dtype)

    def mask(self, shape: torch.Size, dtype: torch.dtype, generator: torch.Generator | None = None) -> Tensor:
        """Return what a tensor on the CPU is multiplied with, drawn from PyTorch's own generator or from another."""
        exact = dtype if dtype is torch.float64 else torch.float32  # 16 bits of noise need more than bfloat16 has
        scale = torch.tensor(self.scale, dtype=exact).expand(shape)
        return _above(scale, noise(shape, exact, generator), self.limit).to(dtype)


# A dropout, and the shape and type of the mask that it needs.
Asked = tuple[Dropout, torch.Size, torch.dtype]


def noise(shape: torch.Size, dtype: torch.dtype, generator: torch.Generator | None = None) -> Tensor:
    """Return whole numbers, uniform from -2^15 to 2^15 - 1: four of each number that PyTorch's, or another, generator draws."""
    # Inverted: large noise keeps a value, and small numbers have kept it since the first version.
    words = (
        torch.empty(-(-shape.numel() // 4), dtype=torch.int64)
        .random_(-(2**63), None, generator=generator)
        .bitwise_not_()
    )
    return words.view(torch.int16)[: shape.numel()].view(shape).to(dtype)


def _above(values: Tensor, by: Tensor, limit: float) -> Tensor:
    """Return `values` where `by` > `limit`, elsewhere 0: one pass, where a comparison and a product take six times that."""
    kept: Tensor = torch.ops.aten.threshold_backward(values, by, limit)
    return kept


class Layer(nn.Sequential):
    """Linear, batch norm, ReLU, dropout: (B, inputs) -> (B, outputs).

    In training on a CPU one function with its own derivative, which goes over the activations half as often.
    """

    def forward(self, x: Tensor, parts: int = 1) -> Tensor:
        """Return the outputs of all rows; each of `parts` equal blocks of rows is a batch with statistics of its own."""
        product, norm, _, dropout = self
        assert isinstance(product, nn.Linear) and isinstance(norm, nn.BatchNorm1d) and isinstance(dropout, Dropout)
        if not norm.training or as_pytorch_does(x):
            blocks = x.chunk(parts) if norm.training else (x,)
            return torch.cat([self._plainly(block) for block in blocks]) if len(blocks) > 1 else self._plainly(x)
        if len(x) // parts < 2:
            raise ValueError(f"batch norm needs more than one clip in a batch to train on, got {len(x) // parts}")
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(parts)
        drop = dropout if dropout.training and dropout.p else None
        out: Tensor = _Layer.apply(x, product.weight, product.bias, norm.weight, norm.bias, norm, drop, parts)
        return out

    def _plainly(self, x: Tensor) -> Tensor:
        for part in self:
            x = part(x)
        return x


class _Layer(torch.autograd.Function):
    """`Layer` in training. The factor of what dropout keeps is in the norm's scale and shift: ReLU lets it through."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, shift: Tensor,
        norm: nn.BatchNorm1d, drop: Dropout | None, parts: int,
    ) -> Tensor:  # fmt: skip
        product = affine(x, weight, bias)
        factor = drop.scale if drop is not None else 1.0
        scaled = scale * factor
        out, kept = torch.empty_like(product), []
        for part, to in zip(product.chunk(parts), out.chunk(parts), strict=True):
            mean, inverse = part.new_empty(0), part.new_empty(0)
            torch.ops.aten.native_batch_norm.out(
                part, scaled, shift * factor, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps,
                out=to, save_mean=mean, save_invstd=inverse,
            )  # fmt: skip
            kept += [mean, inverse]
        out.clamp_min_(0)
        if drop is not None:
            out = _above(out, noise(out.shape, out.dtype), drop.limit)
        ctx.save_for_backward(x, weight, product, out, scaled, *kept)
        ctx.factor, ctx.eps = factor, norm.eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, product, out, scaled, *kept = ctx.saved_tensors
        # What ReLU or dropout made 0 has no derivative.
        gradient = _above(gradient, out, 0.0)
        parts = len(kept) // 2
        found = [
            torch.ops.aten.native_batch_norm_backward(
                given, part, scaled, None, None, mean, inverse, True, ctx.eps, [True] * 3
            )
            for part, given, mean, inverse in zip(
                product.chunk(parts), gradient.chunk(parts), kept[::2], kept[1::2], strict=True
            )
        ]
        inner, of_scale, of_shift = found[0] if parts == 1 else _joined(found)
        needs_x = ctx.needs_input_grad[0]
        return (
            affine(inner, weight.T) if needs_x else None,
            affine(inner.T, x.T),
            # The norm takes the mean away, and with it whatever the bias adds.
            torch.zeros_like(scaled),
            of_scale * ctx.factor,
            of_shift * ctx.factor,
            None, None, None,
        )  # fmt: skip


def _joined(found: Sequence[Sequence[Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the derivatives of several parts of a batch as one's: of the rows, of the norm's scale, of its shift."""
    rows, scales, shifts = zip(*found, strict=True)
    # One after the other: a library's sum of many would take another order, and with it other last digits.
    return torch.cat(rows), sum(scales[1:], scales[0]), sum(shifts[1:], shifts[0])


def layer(inputs: int, outputs: int, dropout: float, momentum: float = 0.1) -> Layer:
    """Linear, batch norm, ReLU, dropout: (B, inputs) -> (B, outputs). Momentum is the weight of the newest batch."""
    return Layer(Linear(inputs, outputs), nn.BatchNorm1d(outputs, momentum=momentum), nn.ReLU(), Dropout(dropout))


def together(net: nn.Sequential, x: Tensor, parts: int) -> Tensor:
    """Return what `net`, a `Layer` or a chain of them, makes of x (B, k), a batch after the other in `parts` equal blocks.

    As if it were called on one block after the other, each with batch statistics of its own, in one product of matrices.
    """
    for one in (net,) if isinstance(net, Layer) else net:
        x = one(x, parts)
    return x


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Return max(0, |a - p| - |a - n| + margin) for each row, (B,).

    The norm is Euclidean, with 1e-6 added to every coordinate of the difference; the papers do not say so, PyTorch's
    triplet loss, which the released code uses, does.
    """
    return functional.triplet_margin_loss(anchor, positive, negative, margin=margin, reduction="none")


def triplets(
    points: Tensor, names: Sequence[str], wanted: Mapping[str, tuple[str, str, str]], margin: float
) -> dict[str, Tensor]:
    """Return the mean of `triplet` for each (anchor, positive, negative) of `wanted`, `names` of the rows of `points` (n, B, D).

    A distance that several of them have is computed once, and all of them by a handful of operations: for tensors of this
    size an operation costs more than its arithmetic.
    """
    signs, near, far = _pairs(tuple(names), tuple(wanted.values()), points.device, points.dtype)
    # Differences of blocks are a product with a small matrix, whose derivative adds up nothing block by block.
    differences = (signs @ points.flatten(1)).view(-1, *points.shape[1:])
    distances = torch.linalg.vector_norm(differences + TRIPLET_EPS, dim=-1)
    # Picked one by one: a list as an index would be copied to a GPU in the middle of a recording.
    each = distances.unbind(0)
    losses = (torch.stack([each[k] for k in near]) - torch.stack([each[k] for k in far]) + margin).relu().mean(1)
    return dict(zip(wanted, losses.unbind(), strict=True))


@cache
def _pairs(
    names: tuple[str, ...], wanted: tuple[tuple[str, str, str], ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, list[int], list[int]]:
    """Return the differences that triplets need, a row of signs (pairs, names) each, and the rows of near and far ones."""
    pairs: dict[tuple[str, str], int] = {}
    for anchor, positive, negative in wanted:
        for other in (positive, negative):
            pairs.setdefault((anchor, other), len(pairs))
    signs = [[(name == first) - (name == second) for name in names] for first, second in pairs]
    # Made once, before a GPU records steps: a recording copies nothing from the host.
    matrix = torch.tensor(signs, device=device, dtype=dtype)
    return matrix, [pairs[a, p] for a, p, _ in wanted], [pairs[a, n] for a, _, n in wanted]


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
        if len(some):  # picking none takes a tenth of the time of all
            clip, of = (squared[some] < limit[some]).nonzero(as_tuple=True)
            squared[some[clip], of] = (part[some[clip]] - c[of]).square().sum(1)
        torch.sqrt(squared, out=result[rows])
    return result
