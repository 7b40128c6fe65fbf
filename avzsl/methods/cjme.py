"""CJME: coordinated joint multimodal embeddings with modality attention (Parida et al., WACV 2020).

Section and equation numbers are those of the paper. The published numbers on the AVCA benchmarks come from another
re-implementation; each of its departures is an option, listed in docs/fidelity-methods.md.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.methods.base import Batch, Dims, Method
from avzsl.methods.blocks import Linear, layer, pairwise, triplet
from avzsl.methods.options.cjme import Options


class CJME(Method):
    """Three projection networks into one space and a network that says which modality dominates.

    Attention alpha (B,) is the weight of the visual modality, 1 - alpha that of audio.
    """

    reported = "both"
    options: Options

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        dropout, hidden, dim = options.dropout, options.hidden, options.dim
        self.margin, self.xi = options.margin, options.entropy_threshold
        self.per_sample = options.weighting == "per_sample"

        def last(inputs: int) -> list[nn.Module]:
            return [Linear(inputs, dim), *([nn.ReLU()] if options.output_relu else [])]

        def projection(inputs: int, middle: int) -> nn.Sequential:
            return nn.Sequential(layer(inputs, middle, dropout), *last(middle))

        self.g_a, self.g_v = projection(dims.audio, hidden), projection(dims.visual, hidden)
        self.g_t = projection(dims.text, dims.text) if options.text_layers == 2 else nn.Sequential(*last(dims.text))
        both = dims.audio + dims.visual
        self.attention = nn.Sequential(nn.BatchNorm1d(both), Linear(both, 1), nn.Sigmoid())

    def intermediates(self, batch: Batch) -> dict[str, Tensor]:
        """Return the embeddings (`_p` positive, `_q` negative), alpha and what supervises it."""
        p, q = batch.positive, batch.negative
        x = {"a_p": self.g_a(p.audio), "v_p": self.g_v(p.visual), "t_p": self.g_t(p.text)}
        x["a_q"], x["v_q"] = self.g_a(q.audio), self.g_v(q.visual)
        if self.options.class_pass_statistics:
            # The negatives' text embedding enters no loss: as released, it moves the text network's statistics.
            with torch.no_grad():
                self.g_t(q.text)
        x["alpha"] = self.attention(torch.cat([p.audio, p.visual], dim=1))[:, 0]
        with torch.no_grad():
            x["classes"] = self._classes(batch.classes)
            x["entropy_audio"] = self._entropy(x["a_p"], x["classes"])
            x["entropy_visual"] = self._entropy(x["v_p"], x["classes"])
            x["supervision"] = self._supervision(x["entropy_audio"], x["entropy_visual"])
        return x

    def _classes(self, classes: Tensor) -> Tensor:
        """Embed the training classes for the supervision of alpha, (C, dim), without gradient."""
        if self.options.class_pass_statistics or not self.training:
            return self.g_t(classes)
        # Evaluation mode: as at the test, and one batch of classes does not disturb the statistics of the clips' text.
        self.g_t.eval()
        try:
            return self.g_t(classes)
        finally:
            self.g_t.train()

    def _entropy(self, points: Tensor, classes: Tensor) -> Tensor:
        """Return the entropy (B,), in nats, of each point's distribution over the classes (section 3)."""
        if self.options.class_probabilities == "inverse_distance":
            inverse = 1 / pairwise(points, classes).clamp_min(1e-12)
            p = inverse / inverse.sum(1, keepdim=True)
        else:
            p = (points @ classes.T).softmax(1)
        return -torch.special.xlogy(p, p).sum(1)

    def _supervision(self, audio: Tensor, visual: Tensor) -> Tensor:
        """Return the target of alpha: 1 where the picture is clearly the surer, 0 where the sound is, else 0.5.

        Eq. 7 as printed gives a modality weight 0 exactly when it is the surer one; the text says the opposite, and
        the text is followed.
        """
        target = torch.full_like(audio, 0.5)
        target = target.masked_fill(visual > audio + self.xi, 0.0)
        return target.masked_fill(audio > visual + self.xi, 1.0)

    def terms(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the three terms of the loss, scalars: weighted triplets, cross-modal, attention."""
        l_ta = triplet(x["t_p"], x["a_p"], x["a_q"], self.margin)
        l_tv = triplet(x["t_p"], x["v_p"], x["v_q"], self.margin)
        alpha = x["alpha"]
        if self.per_sample:  # eq. 4
            triplets = ((1 - alpha) * l_ta + alpha * l_tv).mean()
        else:
            # A (B, 1) alpha against (B,) losses makes a B x B matrix, whose mean is the product of the means.
            triplets = (1 - alpha).mean() * l_ta.mean() + alpha.mean() * l_tv.mean()
        cross_modal = self.options.cross_modal_weight * (x["a_p"] - x["v_p"]).square().sum(1).mean()  # eq. 3
        if self.options.attention_loss == "cross_entropy":
            # Written out, since the library's version refuses probabilities under autocast; alpha is a sigmoid's output.
            a, target = alpha.clamp(1e-7, 1 - 1e-7), x["supervision"]
            attention = -(target * a.log() + (1 - target) * (1 - a).log()).mean()
        else:
            attention = functional.mse_loss(alpha, x["supervision"])
        return {"triplets": triplets, "cross_modal": cross_modal, "attention": attention}

    def loss(self, batch: Batch) -> Tensor:
        """Return the attention objective of section 3, with gamma = 1 and lambda the option `cross_modal_weight`."""
        return torch.stack(list(self.terms(self.intermediates(batch)).values())).sum()

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return a, v (N, dim) and t (C, dim)."""
        return {"audio": self.g_a(audio), "visual": self.g_v(visual), "classes": self.g_t(classes)}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return distances by sound, by picture, and `both`: of the modality that attention selects (section 3)."""
        points = self.embed(audio, visual, classes)
        by_audio, by_visual = (pairwise(points[key], points["classes"]) for key in ("audio", "visual"))
        alpha = self.attention(torch.cat([audio, visual], dim=1))
        return {"audio": by_audio, "visual": by_visual, "both": self.select(by_audio, by_visual, alpha)}

    def select(self, by_audio: Tensor, by_visual: Tensor, alpha: Tensor) -> Tensor:
        """Return (N, C) distances of the selected modality; `alpha` is (N, 1)."""
        if self.options.selection == "hard":
            return torch.where(alpha >= 0.5, by_visual, by_audio)
        # Undecided: the average distance (the text of section 3; eq. 6 writes the sum). The average keeps the scale
        # of one distance, so that beta weighs the same for clips of either kind.
        both = (by_audio + by_visual) / 2
        threshold = self.options.selection_threshold
        both = torch.where(alpha >= threshold, by_visual, both)
        return torch.where(1 - alpha >= threshold, by_audio, both)


METHOD = CJME
