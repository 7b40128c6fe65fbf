"""AVGZSLNet: cross-modal decoder and composite triplets (Mazumder et al., WACV 2021), as released with AVCA."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.methods.base import Batch, Dims, Method
from avzsl.methods.blocks import Linear, layer, pairwise, triplet
from avzsl.methods.options.avgzslnet import Options


class AVGZSLNet(Method):
    """Three projections into one space and one decoder from that space back to class embeddings."""

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        hidden, dim = options.hidden, options.dim
        self.margin = options.margin

        def projection(inputs: int, middle: int) -> nn.Sequential:
            return nn.Sequential(layer(inputs, middle, options.dropout), Linear(middle, dim))

        self.f_a, self.f_v = projection(dims.audio, hidden), projection(dims.visual, hidden)
        self.f_t = projection(dims.text, dims.text)
        self.decoder = nn.Sequential(
            layer(dim, options.decoder_hidden, options.decoder_dropout), Linear(options.decoder_hidden, dims.text)
        )

    def _decode(self, points: Tensor) -> Tensor:
        return functional.normalize(self.decoder(points), dim=1)

    def intermediates(self, batch: Batch) -> dict[str, Tensor]:
        """Return embeddings and their decodings (`x_`), `_p` of the positive and `_q` of the negative clips."""
        p, q = batch.positive, batch.negative
        x = {"a_p": self.f_a(p.audio), "v_p": self.f_v(p.visual), "t_p": self.f_t(p.text)}
        x |= {"a_q": self.f_a(q.audio), "v_q": self.f_v(q.visual), "t_q": self.f_t(q.text)}
        for key in ("a_p", "v_p", "t_p", "a_q", "v_q"):
            x[f"x_t{key}"] = self._decode(x[key])
        return x

    def terms(self, x: dict[str, Tensor], w: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss, scalars; `w` (B, k_w) are the positives' class embeddings."""

        def t(anchor: str, positive: str, negative: str) -> Tensor:
            return triplet(x[anchor], x[positive], x[negative], self.margin).mean()

        return {
            # Norms, not squares.
            "l_rec": torch.stack([(x[f"x_t{m}_p"] - w).norm(dim=1).mean() for m in "tav"]).sum(),
            "l_cta": t("x_tt_p", "x_ta_p", "x_ta_q"),
            "l_ctv": t("x_tt_p", "x_tv_p", "x_tv_q"),
            "l_ta": t("t_p", "a_p", "a_q"),
            "l_at": t("a_p", "t_p", "t_q"),
            "l_tv": t("t_p", "v_p", "v_q"),
            "l_vt": t("v_p", "t_p", "t_q"),
        }

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of the terms."""
        return torch.stack(list(self.terms(self.intermediates(batch), batch.positive.text).values())).sum()

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return a, v (N, dim) and t (C, dim)."""
        return {"audio": self.f_a(audio), "visual": self.f_v(visual), "classes": self.f_t(classes)}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return distances by sound, by picture, and `both`: their sum."""
        points = self.embed(audio, visual, classes)
        by_audio, by_visual = (pairwise(points[key], points["classes"]) for key in ("audio", "visual"))
        return {"audio": by_audio, "visual": by_visual, "both": by_audio + by_visual}


METHOD = AVGZSLNet
