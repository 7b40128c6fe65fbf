"""APN: attribute prototype network (Xu et al., NeurIPS 2020), adapted to averaged features (AVCA section 4.3).

A clip has one feature vector and no places in it, so each prototype's similarity map is one number: the attribute map
is linear, and the compactness loss, which measures how far a map spreads, is zero by definition.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.methods.base import Batch, Dims, Method
from avzsl.methods.blocks import pairwise
from avzsl.methods.inputs import join, width
from avzsl.methods.options.apn import Options

# Both matrices begin uniform in [0, INITIAL), as released.
INITIAL = 2e-4


class APN(Method):
    """A base module that classifies, and prototypes that predict the coordinates of the class embedding."""

    options: Options

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        self.which, self.unit = options.modalities, options.unit_inputs
        shape = (dims.text, width(dims, self.which))
        self.base, self.prototypes = (nn.Parameter(INITIAL * torch.rand(shape)) for _ in range(2))

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the loss, scalars: classification and regression by either matrix, decorrelation."""
        p = batch.positive
        x = join(p.audio, p.visual, self.which, self.unit)
        final, attributes = x @ self.base.T, x @ self.prototypes.T
        terms = {
            "classify_base": self._classify(final, batch),
            "regress_prototypes": functional.mse_loss(attributes, p.text),
        }
        if self.options.regress_base:
            terms["regress_base"] = functional.mse_loss(final, p.text)
        if self.options.classify_prototypes:
            terms["classify_prototypes"] = self._classify(attributes, batch)
        if self.options.decorrelation_weight:
            # The decorrelation loss with one group: word vectors have no groups of attributes.
            terms["decorrelation"] = self.options.decorrelation_weight * self.prototypes.norm(dim=0).sum()
        return terms

    def _classify(self, points: Tensor, batch: Batch) -> Tensor:
        scores = points @ batch.classes.T
        if self.options.double_softmax:  # as released: the cross-entropy applies its own softmax to probabilities
            scores = scores.softmax(1)
        return functional.cross_entropy(scores, batch.positive.labels)

    def loss(self, batch: Batch) -> Tensor:
        """Return the sum of the terms."""
        return torch.stack(list(self.terms(batch).values())).sum()

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the base module's predicted class embedding (N, k_w) and the class embeddings themselves."""
        return {"both": join(audio, visual, self.which, self.unit) @ self.base.T, "classes": classes}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return what the base module says; the prototypes only help to train features, which are fixed here."""
        points = self.embed(audio, visual, classes)["both"]
        return {"both": -points @ classes.T if self.options.distance == "dot" else pairwise(points, classes)}


METHOD = APN
