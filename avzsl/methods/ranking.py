"""ALE, SJE and DEVISE: a linear map from features to class embeddings, trained to rank the right class first.

Akata et al. (TPAMI 2016, ALE), Akata et al. (CVPR 2015, SJE) and Frome et al. (NeurIPS 2013, DEVISE), as adapted to
audio-visual features in AVCA section 4.3: both modalities joined take the place of image features. The three share one
model and differ in what they make of the ranking violations only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avzsl.methods.base import Batch, Dims, Method
from avzsl.methods.blocks import Linear, pairwise
from avzsl.methods.inputs import join, width
from avzsl.methods.options.ranking import Options


class Ranking(Method):
    """Scores s = (M x) W^T of clips x against class embeddings W, with a ranking loss."""

    options: Options

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        self.which, self.unit = options.modalities, options.unit_inputs
        self.objective, self.margin = options.objective, options.margin
        self.dropout = nn.Dropout(options.dropout)
        self.map = Linear(width(dims, self.which), dims.text, bias=False)

    def scores(self, batch: Batch) -> Tensor:
        """Return the scores (B, C) of the positive clips against all training classes."""
        x = self.dropout(join(batch.positive.audio, batch.positive.visual, self.which, self.unit))
        # Dropout on the class embeddings is the released code's; no paper has it.
        classes = self.dropout(batch.classes) if self.options.class_dropout else batch.classes
        return self.map(x) @ classes.T

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over the batch of each clip's ranking loss."""
        scores, labels = self.scores(batch), batch.positive.labels[:, None]
        # How far each wrong class comes above the right one, less a margin.
        violations = (self.margin + scores - scores.gather(1, labels)).clamp_min(0).scatter(1, labels, 0.0)
        if self.objective == "maximum":
            return violations.amax(1).mean()
        if self.objective == "weighted":
            # ALE: the violations of a clip whose right class has rank k weigh (1 + 1/2 + ... + 1/k) / k.
            k = (violations > 0).sum(1)
            steps = torch.arange(1, scores.shape[1] + 1, device=scores.device, dtype=torch.float32)
            harmonic = torch.cat([steps.new_zeros(1), steps.reciprocal().cumsum(0)])
            # Always in float32, as released; k = 0 has no violation to weigh.
            return (harmonic[k] / (k + 1e-8) * violations.sum(1)).mean()
        return violations.sum(1).mean()

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return M x (N, k_w) of the joined modalities and the class embeddings themselves."""
        return {"both": self.map(join(audio, visual, self.which, self.unit)), "classes": classes}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the negative scores, or Euclidean distances between M x and W as released."""
        points = self.embed(audio, visual, classes)["both"]
        return {"both": -points @ classes.T if self.options.distance == "dot" else pairwise(points, classes)}


METHOD = Ranking
