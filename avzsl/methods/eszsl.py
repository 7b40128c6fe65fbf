"""ESZSL: an embarrassingly simple approach to zero-shot learning (Romera-Paredes and Torr, ICML 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg
from torch import Tensor

from avzsl.methods.closed_form import Array, ClosedForm, Problem


class ESZSL(ClosedForm):
    """V = (X X^T + gamma I)^-1 X Y S (S^T S + lambda I)^-1, score x^T V s.

    X (d, N) features, Y (N, C) 1 for the clip's class and -1 for the others, S (C, k_w) class embeddings. Both penalties
    are in units of the mean eigenvalue of the matrix they are added to, so that they mean the same for any data.
    """

    searched = ("feature_penalty", "class_penalty")
    bilinear: Tensor

    def prepare(self, problem: Problem) -> Any:
        # X Y: a clip counts for its class and against every class, its own too.
        signed = 2 * problem.sums - problem.sums.sum(0)
        middle = signed.T @ problem.classes
        return linalg.eigh(problem.gram), linalg.eigh(problem.classes.T @ problem.classes), middle

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        (alpha, left), (beta, right), middle = prepared
        gamma, penalty = setting["feature_penalty"] * alpha.mean(), setting["class_penalty"] * beta.mean()
        inner = left.T @ middle @ right
        inner /= (np.maximum(alpha, 0) + gamma)[:, None] * (np.maximum(beta, 0) + penalty)
        return {"bilinear": left @ inner @ right.T}

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return V^T x (N, k_w) and the class embeddings themselves."""
        return {"both": self.features(audio, visual) @ self.bilinear, "classes": classes}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return negative scores (N, C)."""
        return {"both": -self.embed(audio, visual, classes)["both"] @ classes.T}


METHOD = ESZSL
