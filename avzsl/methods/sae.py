"""SAE: semantic autoencoder (Kodirov et al., CVPR 2017)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg
from torch import Tensor

from avzsl.methods.closed_form import Array, ClosedForm, Problem, cosine_distances


class SAE(ClosedForm):
    """W (k_w, d) minimises |X - W^T S|^2 + lambda |W X - S|^2, X (d, N) features, S (k_w, N) the clips' class embeddings.

    Setting the derivative to zero gives the Sylvester equation S S^T W + W (lambda X X^T) = (1 + lambda) S X^T.
    """

    searched = ("regularisation",)
    encoder: Tensor

    def prepare(self, problem: Problem) -> Any:
        of_classes = (problem.counts * problem.classes.T) @ problem.classes
        # Both coefficients are symmetric: their eigenvectors solve the equation for every lambda at once.
        return linalg.eigh(of_classes), linalg.eigh(problem.gram), problem.cross.T

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        (alpha, left), (beta, right), cross = prepared
        weight = setting["regularisation"]
        divisor = np.maximum(alpha, 0)[:, None] + weight * np.maximum(beta, 0)
        # Directions in which neither clips nor classes vary stay zero: the solution of least norm.
        void = divisor <= 1e-12 * divisor.max()
        inner = (1 + weight) * (left.T @ cross @ right) / np.where(void, np.inf, divisor)
        return {"encoder": left @ inner @ right.T}

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return W x (N, k_w) and the class embeddings themselves."""
        return {"both": self.features(audio, visual) @ self.encoder.T, "classes": classes}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return cosine distances in the space of the class embeddings."""
        return {"both": cosine_distances(self.embed(audio, visual, classes)["both"], classes)}


METHOD = SAE
