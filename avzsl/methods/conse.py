"""CONSE: convex combination of class embeddings (Norouzi et al., ICLR 2014)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from torch import Tensor

from avzsl.methods.closed_form import Array, ClosedForm, Problem, cosine_distances

# Stopping a little early is one more regulariser; the validation HM judges the result.
STEPS = {"maxiter": 200, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps}


class CONSE(ClosedForm):
    """A softmax classifier over the training classes; a clip's point is the mean embedding of its `top` likeliest ones.

    The mean is weighted by the classes' probabilities. The paper's classifier is a network's last layer; here it is
    multinomial logistic regression with the L2 penalty of `inverse_penalty` (scikit-learn's C).
    """

    searched = ("inverse_penalty", "top")
    weights: Tensor
    bias: Tensor
    known: Tensor
    count: Tensor

    def prepare(self, problem: Problem) -> Any:
        return {}  # classifiers by penalty: they do not depend on `top`

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        penalty = setting["inverse_penalty"]
        if penalty not in prepared:
            prepared[penalty] = classifier(problem, penalty)
        weights, bias = prepared[penalty]
        return {"weights": weights, "bias": bias, "known": problem.classes, "count": np.asarray(setting["top"])}

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the convex combinations (N, k_w) and the class embeddings themselves."""
        probabilities = (self.features(audio, visual) @ self.weights.T + self.bias).softmax(1)
        best, at = probabilities.topk(min(int(self.count), probabilities.shape[1]), dim=1)
        weights = best / best.sum(1, keepdim=True)
        return {"both": (weights[..., None] * self.known[at]).sum(1), "classes": classes}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return cosine distances in the space of the class embeddings."""
        return {"both": cosine_distances(self.embed(audio, visual, classes)["both"], classes)}


def classifier(problem: Problem, inverse_penalty: float) -> tuple[Array, Array]:
    """Return weights (C, d) and bias (C,) that minimise the mean cross-entropy + |weights|^2 / (2 N `inverse_penalty`).

    The clips come by block: libraries' classifiers want all of them in memory.
    """
    classes, width, clips = len(problem.classes), len(problem.gram), problem.counts.sum()

    def loss(flat: Array) -> tuple[float, Array]:
        solution = flat.reshape(classes, width + 1)
        weights, total, gradient = solution[:, :width], 0.0, np.zeros_like(solution)
        for x, labels in problem.blocks():
            scores = x @ weights.T + solution[:, width]
            scores -= logsumexp(scores, axis=1, keepdims=True)
            rows = np.arange(len(labels))
            total -= scores[rows, labels].sum()
            wrong = np.exp(scores, out=scores)
            wrong[rows, labels] -= 1
            gradient[:, :width] += wrong.T @ x
            gradient[:, width] += wrong.sum(0)
        gradient[:, :width] += weights / inverse_penalty
        total += (weights**2).sum() / (2 * inverse_penalty)
        return total / clips, gradient.ravel() / clips

    found = minimize(loss, np.zeros(classes * (width + 1)), jac=True, method="L-BFGS-B", options=STEPS)
    solution = found.x.reshape(classes, width + 1)
    return solution[:, :width], solution[:, width]


METHOD = CONSE
