"""Average precisions on a device: what `avzsl.evaluation.retrieval` does on a CPU, by one stable sort a block of queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Distances held at once, of queries against the gallery: a few gigabytes with what the sort needs.
BLOCK = 32_000_000


class DeviceRanking:
    """Ranks galleries on a device (see `avzsl.evaluation.retrieval.Ranking`); one copy to the host for a direction."""

    def __init__(self, device: torch.device, block: int = BLOCK) -> None:
        self._device, self._block = device, block

    def among(
        self,
        queries: Sequence[np.ndarray],
        gallery: Sequence[np.ndarray],
        query_labels: np.ndarray,
        labels: np.ndarray,
        leave_out: bool,
    ) -> np.ndarray:
        """Return the average precision of every query (Q,), NaN where nothing is relevant."""
        points = [(self._here(q).double(), self._here(g).double()) for q, g in zip(queries, gallery, strict=True)]
        own, theirs = self._here(query_labels), self._here(labels)
        found = []
        some = max(1, self._block // max(len(labels), 1))
        for start in range(0, len(query_labels), some):
            part = slice(start, start + some)
            squared = [_squared(q[part], g) for q, g in points]
            # One distance orders as its square does.
            exact = squared[0] if len(squared) == 1 else torch.stack([one.sqrt() for one in squared]).sum(0)
            distances, relevant = exact.float(), own[part, None] == theirs[None]
            if leave_out:
                rows = torch.arange(len(distances), device=self._device)
                distances[rows, start + rows], relevant[rows, start + rows] = torch.inf, False
            found.append(_precisions(distances, relevant))
        return torch.cat(found).cpu().numpy()

    def by(self, distances: np.ndarray, relevant: np.ndarray) -> np.ndarray:
        """Return the average precision of every query (Q,) by its distances (Q, G) to a gallery."""
        some = max(1, self._block // max(distances.shape[1], 1))
        rows = [slice(start, start + some) for start in range(0, len(distances), some)]
        found = [_precisions(self._here(distances[part]).float(), self._here(relevant[part])) for part in rows]
        return torch.cat(found).cpu().numpy()

    def _here(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


def _squared(queries: Tensor, gallery: Tensor) -> Tensor:
    """Squared Euclidean distances in float64: this form cancels."""
    product = torch.addmm((gallery * gallery).sum(1), queries, gallery.T, alpha=-2)
    return (product + (queries * queries).sum(1, keepdim=True)).clamp_min_(0)


def _precisions(distances: Tensor, relevant: Tensor) -> Tensor:
    """Mean precision at the ranks of the relevant items; ties are ranked by position."""
    hits = relevant.gather(1, distances.argsort(dim=1, stable=True))
    ranks = torch.arange(1, hits.shape[1] + 1, device=hits.device, dtype=torch.float64)
    return (hits.cumsum(1) / ranks * hits).sum(1) / hits.sum(1)
