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
        centred, sound = problem.classes - problem.mean, slice(self.dims.visual, None)
        picture, cross = slice(self.dims.visual), problem.centred_cross
        of_text = (problem.counts * centred.T) @ centred
        # X_i^T X_j of every two views: all that G and the U_j are made of, so that no view is held.
        products = {
            ("audio", "audio"): problem.gram[sound, sound],
            ("audio", "visual"): problem.gram[sound, picture],
            ("visual", "visual"): problem.gram[picture, picture],
            ("audio", "text"): cross[sound],
            ("visual", "text"): cross[picture],
            ("text", "text"): of_text,
        }
        decompositions = [linalg.eigh(products[view, view]) for view in VIEWS]
        # Basis of the common space of the last penalty: it does not depend on `dim`.
        return products, decompositions, {}

    def common(self, prepared: Any, penalty: float, dim: int) -> list[Array]:
        """Return the U_j (d_j, r); r is `dim`, or fewer where the views have no more directions."""
        products, decompositions, bases = prepared
        if penalty not in bases:
            bases.clear()  # one is as large as the square of all views' widths
            bases[penalty] = self._bases(products, decompositions, penalty)
        whitening, values, parts = bases[penalty]
        keep = np.flatnonzero(values > 1e-9 * values[-1])[::-1][:dim]
        maps = [w @ (part[:, keep] * np.sqrt(values[keep])) for w, part in zip(whitening, parts, strict=True)]
        # An eigenvector's sign is whatever the library makes it: here the largest entry of a direction is positive.
        whole = np.concatenate(maps)
        signs = np.sign(whole[np.abs(whole).argmax(0), np.arange(whole.shape[1])])
        return [u * signs for u in maps]

    def _bases(self, products: Any, decompositions: Any, penalty: float) -> tuple[list[Array], Array, list[Array]]:
        """Return the views' factors after X, and the eigenvalues and -vectors of M^T M, the latter view by view."""
        # X (X^T X + rho I)^-1 X^T = M M^T with M = X W, W = Q (Lambda + rho)^-1/2: the sum over views is one such product
        # of all M side by side. With M^T M = V S V^T its left singular vectors are G = M V S^-1/2, and so
        # U_j = W_j W_j^T X_j^T G = W_j (M^T M V S^-1/2)_j = W_j (V S^1/2)_j: N clips appear nowhere.
        whitening = []
        for values, basis in decompositions:
            positive = np.maximum(values, 0)
            whitening.append(basis / np.sqrt(positive + penalty * max(positive.mean(), 1e-12)))
        rows = [
            [
                left.T @ (products[i, j] if (i, j) in products else products[j, i].T) @ right
                for j, right in zip(VIEWS, whitening, strict=True)
            ]
            for i, left in zip(VIEWS, whitening, strict=True)
        ]
        values, basis = linalg.eigh(np.block(rows))
        return whitening, values, np.split(basis, np.cumsum([len(w) for w in whitening])[:-1])

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        maps = self.common(prepared, setting["penalty"], int(setting["dim"]))
        return {**{f"map_{name}": u for name, u in zip(VIEWS, maps, strict=True)}, "mean": problem.mean}

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
