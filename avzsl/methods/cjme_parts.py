"""CJME with parts left out: the models that its paper compares in Tables 2, 3 and 5.

Single modalities, training without attention, and every combination of the three losses of eq. 4. The paper gives
neither the constant weights of training without attention (here 1 for both triplet losses) nor how such a model's
attention at the test is made of entropies (here eq. 7 over the candidate classes).
"""

from __future__ import annotations

import torch
from torch import Tensor

from avzsl.methods.base import Batch, Dims
from avzsl.methods.blocks import pairwise, triplet
from avzsl.methods.cjme import CJME
from avzsl.methods.options.cjme_parts import Options


class CJMEParts(CJME):
    """CJME with switches for its three losses and its attention, and with a choice of what decides at the test.

    `output`: `audio` or `visual` alone, `both` (their distances summed, eq. 6), `dominant` (the modality that attention
    selects; without trained attention the one whose entropy is clearly lower, else both).
    """

    options: Options

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        self.parts = {"audio": options.loss_text_audio, "visual": options.loss_text_visual}
        self.cross_modal, self.attends, self.output = options.loss_audio_visual, options.attention, options.output

    def needs(self) -> frozenset[str]:
        """Return the modalities that a loss or the output asks for."""
        if self.cross_modal or self.attends or self.output not in self.parts:
            return frozenset(self.parts)
        return frozenset({self.output, *(name for name, on in self.parts.items() if on)})

    def terms(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the terms that are switched on, scalars."""
        terms = super().terms(x)
        if not self.attends:
            del terms["attention"]
            l_ta, l_tv = (triplet(x["t_p"], x[f"{m}_p"], x[f"{m}_q"], self.margin).mean() for m in "av")
            weighted = {"audio": l_ta, "visual": l_tv}
        elif all(self.parts.values()):
            weighted = {"audio": terms["triplets"], "visual": torch.zeros_like(terms["triplets"])}
        else:
            l_ta, l_tv = (triplet(x["t_p"], x[f"{m}_p"], x[f"{m}_q"], self.margin) for m in "av")
            a = x["alpha"]
            if self.per_sample:
                weighted = {"audio": ((1 - a) * l_ta).mean(), "visual": (a * l_tv).mean()}
            else:  # the released product of means, as in CJME.terms
                weighted = {"audio": (1 - a).mean() * l_ta.mean(), "visual": a.mean() * l_tv.mean()}
        terms["triplets"] = torch.stack([weighted[m] for m, on in self.parts.items() if on]).sum()
        if not self.cross_modal:
            del terms["cross_modal"]
        return terms

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of the terms that are switched on."""
        return torch.stack(list(self.terms(self.intermediates(batch)).values())).sum()

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return t (C, dim) and the embeddings (N, dim) of the modalities that some loss has trained."""
        points = super().embed(audio, visual, classes)
        untrained = [m for m, on in self.parts.items() if not on and not self.cross_modal]
        return {key: value for key, value in points.items() if key not in untrained}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the distances of the chosen output."""
        points = super().embed(audio, visual, classes)
        by = {m: pairwise(points[m], points["classes"]) for m in ("audio", "visual")}
        if self.output in by:
            return {"both": by[self.output]}
        if self.output == "both":
            return {"both": by["audio"] + by["visual"]}
        if self.attends:
            alpha = self.attention(torch.cat([audio, visual], dim=1))
        else:
            entropies = (self._entropy(points[m], points["classes"]) for m in ("audio", "visual"))
            alpha = self._supervision(*entropies)[:, None]
        return {"both": self.select(by["audio"], by["visual"], alpha)}


METHOD = CJMEParts
