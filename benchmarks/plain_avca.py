"""AVCA computed the way the released code computes it: one call after the other, PyTorch's own layers.

The same model as `avzsl.methods.avca`, for comparison: every batch in a call of its own, attention by products of matrices
of two rows, every triplet for itself, PyTorch's linear layers, dropout, and batch norm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from avzsl.methods.avca import AVCA, HEADS, TRIPLETS, WIDTH, Attention
from avzsl.methods.base import Clips
from avzsl.methods.blocks import Dropout, Layer, Linear, triplet


class PlainAttention(Attention):
    """Attention over two tokens as over any number."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, WIDTH) -> (B, 2, WIDTH)."""
        batch = len(x)
        q, k, v = (
            part.reshape(batch, 2, HEADS, WIDTH // HEADS).transpose(1, 2) for part in self.to_qkv(x).chunk(3, dim=-1)
        )
        weights = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)).softmax(-1)
        out: Tensor = self.dropout(self.to_out((weights @ v).transpose(1, 2).reshape(batch, 2, WIDTH)))
        return out


class PlainAVCA(AVCA):
    """AVCA's calls in the order of the released code."""

    def intermediates(self, positive: Clips, negative: Clips) -> dict[str, Tensor]:
        """Return the named quantities of eqs. 1-10."""
        x = {
            "phi_a": self.A_enc(positive.audio),
            "phi_v": self.V_enc(positive.visual),
            "phi_a_neg": self.A_enc(negative.audio),
            "phi_v_neg": self.V_enc(negative.visual),
            "theta_w": self.W_proj(positive.text),
            "theta_w_neg": self.W_proj(negative.text),
        }
        x["rho_w"], x["rho_w_neg"] = self.D(x["theta_w"]), self.D(x["theta_w_neg"])
        for end in ("", "_neg"):
            x["attended_a" + end], x["attended_v" + end] = self._attend(x["phi_a" + end], x["phi_v" + end])
        x["theta_v"], x["theta_v_neg"] = self.V_proj(x["attended_v"]), self.V_proj(x["attended_v_neg"])
        x["theta_a"], x["theta_a_neg"] = self.A_proj(x["attended_a"]), self.A_proj(x["attended_a_neg"])
        x["phi_v_rec"], x["phi_a_rec"] = self.V_rec(x["theta_v"]), self.A_rec(x["theta_a"])
        if self.passes and self.training:
            with torch.no_grad():
                self.A_proj(x["phi_a_rec"])
                self.V_proj(x["phi_v_rec"])
        x["rho_a"], x["rho_a_neg"] = self.D(x["theta_a"]), self.D(x["theta_a_neg"])
        x["rho_v"], x["rho_v_neg"] = self.D(x["theta_v"]), self.D(x["theta_v_neg"])
        return x

    def terms(self, x: dict[str, Tensor], w: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss (eqs. 5-10), all of them."""
        d = functional.mse_loss
        terms = {
            name: triplet(*(x[point] for point in points), self.margin).mean()
            for group in TRIPLETS.values()
            for name, points in group.items()
        }
        for name in ("rho_a", "rho_v", "rho_w"):
            terms["lrec_" + name[-1]] = d(x[name], w)
        for name in ("phi_a", "phi_v"):
            terms["lr_" + name] = d(x[name + "_rec"], x[name])
        for name in ("theta_a", "theta_v"):
            terms["lr_" + name] = d(x[name], x["theta_w"])
        return terms


def plain(model: AVCA) -> AVCA:
    """Turn a model into a plain one, in place, with the parameters that it has."""
    model.__class__ = PlainAVCA
    for module in list(model.modules()):
        if isinstance(module, Attention):
            module.__class__ = PlainAttention
        if isinstance(module, Layer):
            module.__class__ = torch.nn.Sequential
        for key, child in module.named_children():
            if isinstance(child, Dropout):
                setattr(module, key, torch.nn.Dropout(child.p))
            elif isinstance(child, Linear):
                child.__class__ = torch.nn.Linear
    return model
