"""Joined features with one triplet loss: the "both (concat)" rows of CJME's Tables 2 and 3."""

from __future__ import annotations

from torch import Tensor, nn

from avzsl.methods.base import Batch, Dims, Method
from avzsl.methods.blocks import Linear, layer, pairwise, triplet
from avzsl.methods.inputs import join, width
from avzsl.methods.options.concat import Options


class Concat(Method):
    """One projection of [audio, visual] and one of class embeddings into a space, a triplet loss between them."""

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        self.margin, hidden = options.margin, options.hidden
        self.g = nn.Sequential(layer(width(dims, "both"), hidden, options.dropout), Linear(hidden, options.dim))
        self.g_t = Linear(dims.text, options.dim)

    def loss(self, batch: Batch) -> Tensor:
        """Return [d(x_p, t_p) - d(x_q, t_p) + margin]_+, as CJME's eqs. 1 and 2 for one modality."""
        p, q = (self.g(join(clips.audio, clips.visual, "both")) for clips in (batch.positive, batch.negative))
        return triplet(self.g_t(batch.positive.text), p, q, self.margin).mean()

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the points of clips (N, dim) and classes (C, dim)."""
        return {"both": self.g(join(audio, visual, "both")), "classes": self.g_t(classes)}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return Euclidean distances between them."""
        points = self.embed(audio, visual, classes)
        return {"both": pairwise(points["both"], points["classes"])}


METHOD = Concat
