"""CONSE: convex combination of class embeddings (Norouzi et al., ICLR 2014)."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from avzsl.methods.closed_form import Array, ClosedForm, Problem, cosine_distances


class CONSE(ClosedForm):
    """A softmax classifier over the training classes; a clip's point is the mean embedding of its `top` likeliest ones.

    The mean is weighted by the classes' probabilities. The paper's classifier is a network's last layer; here it is
    logistic regression with the L2 penalty of `inverse_penalty` (scikit-learn's C).
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
            model = LogisticRegression(C=penalty, max_iter=200)
            with warnings.catch_warnings():
                # Stopping a little early is one more regulariser; the validation HM judges the result.
                warnings.simplefilter("ignore", ConvergenceWarning)
                prepared[penalty] = model.fit(problem.x, problem.labels)
        model = prepared[penalty]
        coef, intercept = model.coef_, model.intercept_
        if len(problem.classes) == 2:  # one score then, of the second class
            coef, intercept = [0 * coef[0], coef[0]], [0.0, intercept[0]]
        return {"weights": coef, "bias": intercept, "known": problem.classes, "count": setting["top"]}

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the convex combinations (N, k_w) and the class embeddings themselves."""
        probabilities = (self.features(audio, visual) @ self.weights.T + self.bias).softmax(1)
        best, at = probabilities.topk(min(int(self.count), probabilities.shape[1]), dim=1)
        weights = best / best.sum(1, keepdim=True)
        return {"both": (weights[..., None] * self.known[at]).sum(1), "classes": classes}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return cosine distances in the space of the class embeddings."""
        return {"both": cosine_distances(self.embed(audio, visual, classes)["both"], classes)}


METHOD = CONSE
