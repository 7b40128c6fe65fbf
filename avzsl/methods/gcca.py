"""GCCA: generalised canonical correlation analysis of sound, picture and class embedding (MAXVAR; Kettenring, 1971)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg
from torch import Tensor
from torch.nn import functional

from avzsl.methods.closed_form import Array, ClosedForm, Problem, cosine_distances

VIEWS = ("audio", "visual", "text")


class GCCA(ClosedForm):
    """G (N, r) and U_j minimise the sum over the views of |G - X_j U_j|^2 + rho |U_j|^2 with G^T G = I.

    G are the leading eigenvectors of sum_j X_j (X_j^T X_j + rho I)^-1 X_j^T and U_j = (X_j^T X_j + rho I)^-1 X_j^T G
    (CJME compares with it in section 5 and gives neither r nor rho). `penalty` is rho in units of the view's mean eigenvalue.
    """

    searched = ("penalty", "dim")
    map_audio: Tensor
    map_visual: Tensor
    map_text: Tensor
    mean: Tensor

    def prepare(self, problem: Problem) -> Any:
        mean = problem.classes[problem.labels].mean(0)
        views = (problem.audio, problem.visual, problem.classes[problem.labels] - mean)
        # Basis of the common space of the last penalty: it does not depend on `dim`.
        return views, [linalg.eigh(x.T @ x) for x in views], mean, {}

    def common(self, prepared: Any, penalty: float, dim: int) -> tuple[Array, list[Array]]:
        """Return G (N, r) and the U_j; r is `dim`, or fewer where the views have no more directions."""
        views, decompositions, _, bases = prepared
        if penalty not in bases:
            bases.clear()  # one is as large as all features together
            bases[penalty] = self._bases(views, decompositions, penalty)
        joined, whitening, values, basis = bases[penalty]
        keep = np.flatnonzero(values > 1e-9 * values[-1])[::-1][:dim]
        g = joined @ (basis[:, keep] / np.sqrt(values[keep]))
        return g, [w @ (w.T @ (x.T @ g)) for x, w in zip(views, whitening, strict=True)]

    def _bases(self, views: Any, decompositions: Any, penalty: float) -> tuple[Array, list[Array], Array, Array]:
        """Return M of all views side by side, its factors after X, and the eigenvalues and -vectors of M^T M."""
        # X (X^T X + rho I)^-1 X^T = M M^T with M = X Q (Lambda + rho)^-1/2: the sum over views is one such product
        # of all M side by side, whose left singular vectors come from a matrix of the views' widths, not of N clips.
        whitening = []
        for values, basis in decompositions:
            positive = np.maximum(values, 0)
            whitening.append(basis / np.sqrt(positive + penalty * max(positive.mean(), 1e-12)))
        joined = np.concatenate([x @ w for x, w in zip(views, whitening, strict=True)], axis=1)
        return joined, whitening, *linalg.eigh(joined.T @ joined)

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        _, maps = self.common(prepared, setting["penalty"], int(setting["dim"]))
        return {**{f"map_{name}": u for name, u in zip(VIEWS, maps, strict=True)}, "mean": prepared[2]}

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the three views' points in the common space, divided by their norms, (N, r) and (C, r)."""
        a, v = self.scaled(audio, visual)
        points = {
            "audio": a @ self.map_audio,
            "visual": v @ self.map_visual,
            "classes": (classes - self.mean) @ self.map_text,
        }
        return {name: functional.normalize(x, dim=1) for name, x in points.items()}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the cosine distances of either modality's points to the classes' points, and `both`: their sum."""
        points = self.embed(audio, visual, classes)
        by = {name: cosine_distances(points[name], points["classes"]) for name in ("audio", "visual")}
        return {**by, "both": by["audio"] + by["visual"]}


METHOD = GCCA
