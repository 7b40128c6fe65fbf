"""AVCA: audio-visual cross-attention (Mercea et al., CVPR 2022).

Section and equation numbers are those of the paper; where its released code departs, the option is named and
listed in docs/fidelity-methods.md. All names follow the paper: phi are encoder outputs, theta points of the common space, rho word
vectors decoded from them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.methods.base import Batch, Clips, Dims, Method
from avzsl.methods.blocks import Dropout, Linear, counting_steps, layer, linear, pairwise, together, triplets
from avzsl.methods.options.avca import Options, Parts

# Widths of section 4.2: hidden layers, encoder outputs, attention's feed-forward hidden layer, common space.
HIDDEN, WIDTH, ATTENTION_HIDDEN, SPACE = 512, 300, 64, 64
HEADS = 3
# Blocks of theta and rho: of the class embedding and both modalities, positives and negatives.
BLOCKS = ("_w", "_w_neg", "_a", "_a_neg", "_v", "_v_neg")
# Anchor, positive and negative of the triplets: l_t (eq. 5), l_w (eq. 9), l_ct (eq. 8).
TRIPLETS = {
    "base": {
        "lt_1": ("theta_a", "theta_w", "theta_a_neg"),
        "lt_2": ("theta_v", "theta_w", "theta_v_neg"),
        "lt_3": ("theta_w", "theta_a", "theta_w_neg"),
        "lt_4": ("theta_w", "theta_v", "theta_w_neg"),
    },
    "word": {
        "lw_ta": ("theta_w", "theta_a", "theta_a_neg"),
        "lw_tv": ("theta_w", "theta_v", "theta_v_neg"),
        "lw_at": ("theta_a", "theta_w", "theta_w_neg"),
        "lw_vt": ("theta_v", "theta_w", "theta_w_neg"),
    },
    "composite": {
        "lct_a": ("rho_w", "rho_a", "rho_a_neg"),
        "lct_v": ("rho_w", "rho_v", "rho_v_neg"),
    },
}  # fmt: skip


class Attention(nn.Module):
    """Multi-head self-attention over the two tokens of a clip: (B, 2, WIDTH) -> (B, 2, WIDTH)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.to_qkv = Linear(WIDTH, 3 * WIDTH, bias=False)
        self.to_out = Linear(WIDTH, WIDTH)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        # Of two tokens, softmax is a sigmoid of the difference of their scores: products of rows, not of small matrices. It
        # asks for the difference of the keys alone, which is the key of the difference.
        of_q, of_k, of_v = self.to_qkv.weight.chunk(3)
        q, v = linear(x, of_q), linear(x, of_v)
        keys = linear(x[:, 0] - x[:, 1], of_k)
        scores = (q * keys[:, None]).view(-1, 2, HEADS, WIDTH // HEADS).sum(-1, keepdim=True)
        first = (scores / math.sqrt(WIDTH // HEADS)).sigmoid()
        values = v.view(-1, 2, HEADS, WIDTH // HEADS)
        mixed = torch.addcmul(values[:, 1:], first, values[:, :1] - values[:, 1:])
        return self.dropout(self.to_out(mixed.flatten(-2)))


class FeedForward(nn.Module):
    """Linear, GELU, dropout, linear, dropout on the last axis."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.first, self.second = Linear(WIDTH, ATTENTION_HIDDEN), Linear(ATTENTION_HIDDEN, WIDTH)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.second(self.dropout(functional.gelu(self.first(x)))))


class CrossAttention(nn.Module):
    """The cross-attention block of section 3.1: (B, 2, WIDTH) -> (B, 2, WIDTH), token 0 audio, token 1 visual."""

    def __init__(self, options: Parts) -> None:
        super().__init__()
        dropout = options.encoder_dropout
        self.post = options.norm == "post"
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = Attention(dropout if options.attention_dropout else 0.0)
        self.feed_forward = nn.ModuleList(
            FeedForward(dropout) for _ in range(1 if options.feed_forward == "shared" else 2)
        )

    def _feed(self, x: Tensor) -> Tensor:
        if len(self.feed_forward) == 1:
            return self.feed_forward[0](x)
        return torch.stack([block(x[:, token]) for token, block in enumerate(self.feed_forward)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        if self.post:
            x = self.norm_attention(x + self.attention(x))
            return self.norm_feed_forward(x + self._feed(x))
        x = x + self.attention(self.norm_attention(x))
        return x + self._feed(self.norm_feed_forward(x))


def alignment(x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared difference of the cosines within x (B, D) and those within y (B, D), a scalar.

    What the alignment losses of Hyper-AVZSL (Hong et al., ICCV 2023) come to: their maps to and from a hyperbolic space scale
    each row, of which a cosine sees nothing, so that no curvature, fixed or learnt, changes them.
    """
    x, y = functional.normalize(x, dim=1), functional.normalize(y, dim=1)
    return functional.mse_loss(x @ x.T, y @ y.T)


class AVCA(Method):
    """The model of section 3.1 with the losses of section 3.2."""

    reported = "both"
    options: Options

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        momentum = options.last_bn_momentum if options.two_bn_momenta else 0.1
        r_enc, r_proj, r_dec = options.encoder_dropout, options.projection_dropout, options.decoder_dropout
        self.margin, self.alignment, self.output = options.margin, options.alignment, options.output

        def encoder(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
            return nn.Sequential(layer(inputs, HIDDEN, dropout), layer(HIDDEN, outputs, dropout, momentum))

        self.position = None
        if options.position_embedding != "none":
            trained = options.position_embedding == "trained"
            self.position = nn.Parameter(torch.randn(2, WIDTH), requires_grad=trained)
        self.A_enc, self.V_enc = encoder(dims.audio, WIDTH, r_enc), encoder(dims.visual, WIDTH, r_enc)
        self.cross_attention = CrossAttention(options)
        self.W_proj = layer(dims.text, SPACE, r_dec)
        self.D = layer(SPACE, dims.text, r_dec)
        self.A_proj, self.V_proj = encoder(WIDTH, SPACE, r_proj), encoder(WIDTH, SPACE, r_proj)
        self.A_rec, self.V_rec = layer(SPACE, WIDTH, r_dec), layer(SPACE, WIDTH, r_dec)
        # Every running mean moves at least three times in a step with these passes; older steps no longer count.
        self._statistics_steps = counting_steps(min(0.1, max(momentum, 1e-3)), 3)
        self._statistics = options.statistics_passes
        # Whether this step's statistics passes still count at the end of the epoch.
        self.passes = self._statistics

    def _attend(self, phi_a: Tensor, phi_v: Tensor) -> tuple[Tensor, Tensor]:
        tokens = torch.stack([phi_a, phi_v], dim=1)
        if self.position is not None:
            tokens = tokens + self.position
        attended = self.cross_attention(tokens)
        # Eq. 2: a residual around the block; the block's output holds phi already, so the sum holds it twice.
        return phi_a + attended[:, 0], phi_v + attended[:, 1]

    def intermediates(self, positive: Clips, negative: Clips) -> dict[str, Tensor]:
        """Return every named quantity of eqs. 1-10; `_neg` is the negative clip's.

        Positives and negatives are blocks of one batch. In each network the order of the blocks is that of the released
        code's calls: it decides the batch-norm buffers.
        """
        phi_a = together(self.A_enc, torch.cat([positive.audio, negative.audio]), 2)
        phi_v = together(self.V_enc, torch.cat([positive.visual, negative.visual]), 2)
        theta_w = together(self.W_proj, torch.cat([positive.text, negative.text]), 2)
        attended_a, attended_v = self._attend(phi_a, phi_v)
        theta_v, theta_a = together(self.V_proj, attended_v, 2), together(self.A_proj, attended_a, 2)
        size = len(positive.labels)
        phi_v_rec, phi_a_rec = self.V_rec(theta_v[:size]), self.A_rec(theta_a[:size])
        if self.passes and self.training:
            # Results unused, but the running statistics of A_proj and V_proj see reconstructions through them.
            with torch.no_grad():
                self.A_proj(phi_a_rec)
                self.V_proj(phi_v_rec)
        theta = torch.cat([theta_w, theta_a, theta_v])
        rho = together(self.D, theta, 6)
        x = {"phi_v_rec": phi_v_rec, "phi_a_rec": phi_a_rec, "theta": theta.view(6, size, -1)}
        x["rho"] = rho.view(6, size, -1)
        for space in ("theta", "rho"):
            x |= {f"{space}{name}": block for name, block in zip(BLOCKS, x[space], strict=True)}
        for name, both in (("phi_a", phi_a), ("phi_v", phi_v), ("attended_a", attended_a), ("attended_v", attended_v)):
            x[name], x[name + "_neg"] = both.chunk(2)
        return x

    def terms(self, x: dict[str, Tensor], w: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss (eqs. 5-10), scalars; `w` (B, k_w) are the positives' class embeddings."""
        options = self.options
        wanted = {
            "theta": (TRIPLETS["base"] if options.loss_base else {}) | (TRIPLETS["word"] if options.loss_word else {}),
            "rho": TRIPLETS["composite"] if options.loss_composite else {},
        }
        terms: dict[str, Tensor] = {}
        for space, of_space in wanted.items():
            if of_space:
                terms |= triplets(x[space], [space + name for name in BLOCKS], of_space, self.margin)
        # Blocks of positives alone are every second one.
        if options.loss_reconstruction:  # l_rec, eq. 7
            errors = (x["rho"][::2] - w).square().mean((1, 2))
            terms |= dict(zip(("lrec_w", "lrec_a", "lrec_v"), errors, strict=True))
        if options.loss_regularisation:  # l_r, eq. 10; nothing is detached
            for name in ("phi_v", "phi_a"):
                terms[f"lr_{name}"] = functional.mse_loss(x[f"{name}_rec"], x[name])
            points = x["theta"][::2]
            errors = (points[1:] - points[:1]).square().mean((1, 2))
            terms |= dict(zip(("lr_theta_a", "lr_theta_v"), errors, strict=True))
        if self.alignment:
            for name, end in (("align", ""), ("align_neg", "_neg")):
                terms[name] = self.alignment * alignment(x[f"phi_v{end}"], x[f"phi_a{end}"])
        return terms

    def loss(self, batch: Batch) -> Tensor:
        """Return l = l_t + l_rec + l_ct + l_w + l_r, all weights 1 (eqs. 4 and 6)."""
        terms = self.terms(self.intermediates(batch.positive, batch.negative), batch.positive.text)
        return torch.stack(list(terms.values())).sum()

    @property
    def plain(self) -> bool:
        """Without the released code's passes for statistics a step is a plain one."""
        return not self._statistics

    def step(self, batch: Batch, optimisers: dict[str, torch.optim.Optimizer], remaining: int) -> Tensor:
        """Take one step; as released, then see the positives once more in training mode."""
        self.passes = self._statistics and remaining < self._statistics_steps
        loss = super().step(batch, optimisers, remaining)
        if self.passes:
            with torch.no_grad():
                self._theta(batch.positive.audio, batch.positive.visual)
                self.W_proj(batch.positive.text)
        return loss

    def _theta(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        attended_a, attended_v = self._attend(self.A_enc(audio), self.V_enc(visual))
        return self.A_proj(attended_a), self.V_proj(attended_v)

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return theta_a, theta_v (N, 64) and theta_w (C, 64)."""
        theta_a, theta_v = self._theta(audio, visual)
        return {"audio": theta_a, "visual": theta_v, "classes": self.W_proj(classes)}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the distances to theta_w of what `output` names: theta_v in the paper (eq. 3)."""
        points = self.embed(audio, visual, classes)
        parts = [
            pairwise(points[key], points["classes"])
            for key in ("audio", "visual")
            if self.output in {key, "sum", "min"}
        ]
        if self.output == "min":
            return {"both": torch.minimum(*parts)}
        return {"both": torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]}


METHOD = AVCA
