"""Parts of TCaF: one vector from two sequences of steps by a transformer with masked attention (section 3 of its paper)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.methods.base import Steps
from avzsl.methods.blocks import Dropout, Linear, layer
from avzsl.methods.options.tcaf import Norm, Options

# Widths of the released settings: tokens, embedding of modality and time, frequencies of the time code.
WIDTH, EMBEDDING, FREQUENCIES = 300, 64, 32
FREQUENCY_SCALE = 10.0
AUDIO, VISUAL = 0, 1
BYTE = 255.0


def two_layers(inputs: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Return two layers of linear, batch norm, ReLU, dropout: (N, inputs) -> (N, outputs)."""
    return nn.Sequential(layer(inputs, hidden, dropout), layer(hidden, outputs, dropout))


def real(steps: Steps) -> Tensor:
    """Return (B, T), true at a clip's own steps and false where the batch is padded."""
    return torch.arange(steps.values.shape[1], device=steps.lengths.device) < steps.lengths[:, None]


def places(steps: Steps) -> Tensor:
    """Return the places of real steps in B x T."""
    return real(steps).flatten().nonzero()[:, 0] if steps.own is None else steps.own


def average(steps: Steps) -> Steps:
    """Return one step a clip: the mean over its own steps, from its first second to its last; none where it has none."""
    if steps.values.shape[1] == 0:
        return steps
    weights = real(steps).to(steps.values.dtype) / steps.lengths.clamp_min(1)[:, None].to(steps.values.dtype)
    values = (steps.values * weights[..., None]).sum(1, keepdim=True)
    times = torch.stack([steps.times[:, 0, 0], steps.times[..., 1].amax(1)], dim=-1)[:, None]
    return Steps(values, steps.lengths.clamp_max(1), times)


def normalise(values: Tensor, how: Norm) -> Tensor:
    """Scale features (B, T, k): `channel` to unit length each step, `time` each channel to unit length over the clip.

    `byte` divides by 255, `none` leaves them.
    """
    if how == "byte":
        return values / BYTE
    if how == "none":
        return values
    return functional.normalize(values, dim=1 if how == "time" else 2)


@contextlib.contextmanager
def running_statistics(module: nn.Module) -> Iterator[None]:
    """Let the batch norms of `module` that are in training use their running statistics, and leave these alone."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm1d) and part.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


class StepEncoder(nn.Module):
    """One modality's steps to tokens: (B, T, inputs) -> (B, T, WIDTH), with modality and time in every token."""

    def __init__(self, inputs: int, options: Options) -> None:
        super().__init__()
        hidden = options.encoder_hidden
        self.encode = two_layers(inputs, hidden, WIDTH, options.encoder_dropout)
        self.join = Linear(WIDTH + EMBEDDING, WIDTH)
        self.dropout = Dropout(options.embedding_dropout)
        self.padded_batch_norm = options.padded_batch_norm

    def forward(self, values: Tensor, own: Tensor, embedding: Tensor) -> Tensor:
        """`own` are the places of real steps in B x T, `embedding` (B or 1, T, EMBEDDING)."""
        batch, steps, _ = values.shape
        return self.dropout(self.join(torch.cat([self.encoded(values, own), embedding.expand(batch, steps, -1)], -1)))

    def encoded(self, values: Tensor, own: Tensor) -> Tensor:
        """Return (B, T, WIDTH), each step by itself; padded steps count in the batch norms only as released."""
        out = values.new_zeros(*values.shape[:2], WIDTH)
        if out.numel() == 0:
            return out
        if self.padded_batch_norm and self.training:
            encoded: Tensor = self.encode(values.flatten(0, 1))
            return encoded.view(*values.shape[:2], WIDTH)
        if len(own) == 0:  # no clip of the batch has this modality
            return out
        # One step has no variance: the running statistics stand in for it.
        with running_statistics(self.encode) if len(own) == 1 else contextlib.nullcontext():
            encoded = self.encode(values.flatten(0, 1)[own])
        return out.flatten(0, 1).to(encoded.dtype).index_copy(0, own, encoded).view(out.shape)


class TimeCode(nn.Module):
    """Seconds (B, T) -> (B, T, EMBEDDING): random Fourier features and a learnt linear map."""

    frequencies: Tensor

    def __init__(self) -> None:
        super().__init__()
        # The same second stands in both coordinates of the released code's two rows, so that only their sum counts.
        self.register_buffer("frequencies", FREQUENCY_SCALE * torch.randn(2, FREQUENCIES))
        self.map = Linear(2 * FREQUENCIES, EMBEDDING)

    def forward(self, seconds: Tensor, dtype: torch.dtype) -> Tensor:
        # In float64: at ten turns a second float32 loses the phase within an hour.
        phase = 2 * math.pi * seconds.double()[..., None] * self.frequencies.double().sum(0)
        return self.map(torch.cat([phase.sin(), phase.cos()], dim=-1).to(dtype))


class Layer(nn.Module):
    """Attention and feed-forward block, both behind one and the same layer norm and with a residual."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.heads, width = options.heads, options.head_width
        inner, hidden = self.heads * width, options.feed_forward_hidden
        self.norm = nn.LayerNorm(WIDTH)
        self.to_q = Linear(WIDTH, inner, bias=False)
        self.to_k, self.to_v = Linear(WIDTH, inner, bias=False), Linear(WIDTH, inner, bias=False)
        self.to_out = Linear(inner, WIDTH)
        self.first, self.second = Linear(WIDTH, hidden), Linear(hidden, WIDTH)
        self.dropout = Dropout(options.transformer_dropout)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, mask: Tensor, queries: int) -> Tensor:
        """Return the first `queries` tokens of (B, S, WIDTH); `mask` (B, 1, queries, S) is true where one sees another."""
        normed = self.norm(x)
        q = self._heads(self.to_q(normed[:, :queries]))
        k, v = self._heads(self.to_k(normed)), self._heads(self.to_v(normed))
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x[:, :queries] + self.dropout(self.to_out(seen.transpose(1, 2).flatten(2)))
        hidden = self.dropout(functional.gelu(self.first(self.norm(x))))
        return x + self.dropout(self.second(hidden))


def attention_mask(audio: Tensor, visual: Tensor, kind: Literal["cross", "self", "both"]) -> Tensor:
    """Return (B, 1, 1 + T_a + T_v, the same), true where a query (row) attends to a key (column).

    `audio` (B, T_a) and `visual` (B, T_v) are true at real steps. Tokens are the class token, sound, picture. All see
    the class token and it sees every real step. `kind` is `cross`: of the steps, only the other modality's, not even
    a step itself; `self`: only the own modality's; `both`: every real step.
    """
    device = audio.device
    modality = torch.cat(
        [torch.full((n,), m, device=device) for m, n in ((AUDIO, audio.shape[1]), (VISUAL, visual.shape[1]))]
    )
    same = modality[:, None] == modality
    allowed = {"cross": ~same, "self": same, "both": torch.ones_like(same)}[kind]
    # A padded query is as good as any: nothing attends to it, so it reaches no output.
    allowed = functional.pad(allowed, (1, 0, 1, 0), value=True)
    keys = functional.pad(torch.cat([audio, visual], dim=1), (1, 0), value=True)
    return (allowed & keys[:, None, :])[:, None]


class Transformer(nn.Module):
    """Tokens of both modalities to one vector: (B, T_a, WIDTH), (B, T_v, WIDTH) -> (B, WIDTH)."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.kind = options.attention
        self.class_token = nn.Parameter(torch.randn(WIDTH))
        self.layers = nn.ModuleList(Layer(options) for _ in range(options.depth))

    def forward(self, audio: Tensor, visual: Tensor, real_audio: Tensor, real_visual: Tensor) -> Tensor:
        mask = attention_mask(real_audio, real_visual, self.kind)
        x = torch.cat([self.class_token.to(audio.dtype).expand(len(audio), 1, -1), audio, visual], dim=1)
        for block in self.layers[:-1]:
            x = block(x, mask, x.shape[1])
        # Only the class token is read, so the last layer computes no other.
        last: Tensor = self.layers[-1](x, mask[:, :, :1], 1)
        return last[:, 0]
