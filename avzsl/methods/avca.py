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
from avzsl.methods.blocks import Dropout, Linear, counting_steps, layer, pairwise, triplet
from avzsl.methods.options.avca import Options, Parts

# Widths of section 4.2: hidden layers, encoder outputs, attention's feed-forward hidden layer, common space.
HIDDEN, WIDTH, ATTENTION_HIDDEN, SPACE = 512, 300, 64, 64
HEADS = 3


class Attention(nn.Module):
    """Multi-head self-attention over the two tokens of a clip: (B, 2, WIDTH) -> (B, 2, WIDTH)."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.to_qkv = Linear(WIDTH, 3 * WIDTH, bias=False)
        self.to_out = Linear(WIDTH, WIDTH)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        batch = len(x)
        q, k, v = (
            part.reshape(batch, 2, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.to_qkv(x).chunk(3, dim=-1)
        )
        # Two tokens: the explicit product is as fast as any fused kernel.
        weights = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)).softmax(-1)
        return self.dropout(self.to_out((weights @ v).transpose(1, 2).reshape(batch, 2, WIDTH)))


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

        The order of the calls is the released code's: it decides the batch-norm buffers and the dropout masks.
        """
        x = {
            "phi_a": self.A_enc(positive.audio),
            "phi_v": self.V_enc(positive.visual),
            "phi_a_neg": self.A_enc(negative.audio),
            "phi_v_neg": self.V_enc(negative.visual),
            "theta_w": self.W_proj(positive.text),
            "theta_w_neg": self.W_proj(negative.text),
        }
        x["rho_w"], x["rho_w_neg"] = self.D(x["theta_w"]), self.D(x["theta_w_neg"])
        x["attended_a"], x["attended_v"] = self._attend(x["phi_a"], x["phi_v"])
        x["attended_a_neg"], x["attended_v_neg"] = self._attend(x["phi_a_neg"], x["phi_v_neg"])
        x["theta_v"], x["theta_v_neg"] = self.V_proj(x["attended_v"]), self.V_proj(x["attended_v_neg"])
        x["theta_a"], x["theta_a_neg"] = self.A_proj(x["attended_a"]), self.A_proj(x["attended_a_neg"])
        x["phi_v_rec"], x["phi_a_rec"] = self.V_rec(x["theta_v"]), self.A_rec(x["theta_a"])
        if self.passes and self.training:
            # Results unused, but the running statistics of A_proj and V_proj see reconstructions through them.
            with torch.no_grad():
                self.A_proj(x["phi_a_rec"])
                self.V_proj(x["phi_v_rec"])
        x["rho_a"], x["rho_a_neg"] = self.D(x["theta_a"]), self.D(x["theta_a_neg"])
        x["rho_v"], x["rho_v_neg"] = self.D(x["theta_v"]), self.D(x["theta_v_neg"])
        return x

    def terms(self, x: dict[str, Tensor], w: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss (eqs. 5-10), scalars; `w` (B, k_w) are the positives' class embeddings."""

        def t(anchor: str, positive: str, negative: str) -> Tensor:
            return triplet(x[anchor], x[positive], x[negative], self.margin).mean()

        d = functional.mse_loss
        terms: dict[str, Tensor] = {}
        if self.options.loss_base:  # l_t, eq. 5
            terms["lt_1"] = t("theta_a", "theta_w", "theta_a_neg")
            terms["lt_2"] = t("theta_v", "theta_w", "theta_v_neg")
            terms["lt_3"] = t("theta_w", "theta_a", "theta_w_neg")
            terms["lt_4"] = t("theta_w", "theta_v", "theta_w_neg")
        if self.options.loss_reconstruction:  # l_rec, eq. 7
            terms["lrec_a"], terms["lrec_v"] = d(x["rho_a"], w), d(x["rho_v"], w)
            terms["lrec_w"] = d(x["rho_w"], w)
        if self.options.loss_composite:  # l_ct, eq. 8
            terms["lct_a"], terms["lct_v"] = t("rho_w", "rho_a", "rho_a_neg"), t("rho_w", "rho_v", "rho_v_neg")
        if self.options.loss_word:  # l_w, eq. 9
            terms["lw_ta"], terms["lw_tv"] = (
                t("theta_w", "theta_a", "theta_a_neg"),
                t("theta_w", "theta_v", "theta_v_neg"),
            )
            terms["lw_at"], terms["lw_vt"] = (
                t("theta_a", "theta_w", "theta_w_neg"),
                t("theta_v", "theta_w", "theta_w_neg"),
            )
        if self.options.loss_regularisation:  # l_r, eq. 10; nothing is detached
            terms["lr_phi_v"], terms["lr_phi_a"] = d(x["phi_v_rec"], x["phi_v"]), d(x["phi_a_rec"], x["phi_a"])
            terms["lr_theta_v"], terms["lr_theta_a"] = d(x["theta_v"], x["theta_w"]), d(x["theta_a"], x["theta_w"])
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
