"""Nearest class prototype: no training at all, only means."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.methods.blocks import pairwise
from avzsl.methods.closed_form import Array, ClosedForm, Problem


class Prototype(ClosedForm):
    """The prototype of a training class is the mean of its clips.

    An unseen class has no clips: its prototype is the mean of the prototypes of the `neighbours` training classes with
    the most similar class embeddings, weighted by that cosine similarity where it is positive.
    """

    searched = ("neighbours",)
    means: Tensor
    known: Tensor
    count: Tensor

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        means = problem.sums / problem.counts[:, None]
        return {"means": means, "known": problem.classes, "count": np.asarray(setting["neighbours"])}

    def prototypes(self, classes: Tensor) -> Tensor:
        """Return the prototypes (C, d) of any classes (C, k_w)."""
        unit = torch.nn.functional.normalize
        similarity = unit(classes, dim=1) @ unit(self.known, dim=1).T
        count = min(int(self.count), len(self.known))
        best, at = similarity.topk(count, dim=1)
        weights = best.clamp_min(1e-6)
        # A class embedding that is a training class's own: that class's prototype, whatever its neighbours.
        own = (pairwise(classes, self.known[at[:, 0]]).diagonal() < 1e-6)[:, None]
        first = torch.nn.functional.one_hot(torch.zeros_like(at[:, 0]), count)
        weights = torch.where(own, first.to(weights), weights)
        return ((weights / weights.sum(1, keepdim=True))[..., None] * self.means[at]).sum(1)

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the clips' features (N, d) and the prototypes (C, d)."""
        return {"both": self.features(audio, visual), "classes": self.prototypes(classes)}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return Euclidean distances of clips to prototypes."""
        points = self.embed(audio, visual, classes)
        return {"both": pairwise(points["both"], points["classes"])}


METHOD = Prototype
