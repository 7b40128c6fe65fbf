"""Ridge regression from features to class embeddings: the least that a learning method must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg
from torch import Tensor

from avzsl.methods.closed_form import Array, ClosedForm, Problem, cosine_distances


class Ridge(ClosedForm):
    """W minimises |X W - T|^2 + lambda |W|^2, with rows of T the class embeddings of the clips, less their mean.

    `regularisation` is lambda in units of the mean eigenvalue of X^T X, so that it means the same for any data. Cosines
    are taken about the same mean: what all class embeddings have in common tells no class from another, and it is most
    of the length of a sentence vector.
    """

    searched = ("regularisation",)
    map: Tensor
    mean: Tensor

    def prepare(self, problem: Problem) -> Any:
        return linalg.eigh(problem.gram)

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        eigenvalues, basis = prepared
        penalty = setting["regularisation"] * eigenvalues.mean()
        projected = basis.T @ problem.centred_cross
        return {"map": basis @ (projected / (np.maximum(eigenvalues, 0) + penalty)[:, None]), "mean": problem.mean}

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the predicted class embeddings (N, k_w) and the given ones, both less the mean of the training clips'."""
        return {"both": self.features(audio, visual) @ self.map, "classes": classes - self.mean}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return cosine distances between predicted and given class embeddings."""
        points = self.embed(audio, visual, classes)
        return {"both": cosine_distances(points["both"], points["classes"])}


METHOD = Ridge
