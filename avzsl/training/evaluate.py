"""Distances of a method on a subset, chunk by chunk, and their calibration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from avzsl.benchmark import Subset
from avzsl.evaluation import GRIDS, Calibration, Scores
from avzsl.methods import Method
from avzsl.training.sampling import DeviceData

# Clips in one forward pass: bounds the memory of the activations, not of the result.
CHUNK = 4096


def _chunks(source: DeviceData, subset: Subset) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for start in range(0, len(subset), CHUNK):
        rows = torch.from_numpy(subset.rows[start : start + CHUNK]).to(source.device)
        yield source.audio[rows], source.visual[rows]


@torch.no_grad()
def distances(method: Method, source: DeviceData, subset: Subset, members: np.ndarray) -> dict[str, np.ndarray]:
    """Return each output's distances (clips, candidates) in evaluation mode; `members` are the candidate classes."""
    method.eval()
    classes = source.vectors[torch.from_numpy(members).to(source.device)]
    parts = [method.distances(audio, visual, classes) for audio, visual in _chunks(source, subset)]
    return {key: torch.cat([part[key] for part in parts]).cpu().numpy() for key in parts[0]}


@torch.no_grad()
def embeddings(method: Method, source: DeviceData, subset: Subset, members: np.ndarray) -> dict[str, np.ndarray]:
    """Return the method's embeddings of clips and candidate classes, float32; empty if it has none."""
    method.eval()
    classes = source.vectors[torch.from_numpy(members).to(source.device)]
    parts = [method.embed(audio, visual, classes) for audio, visual in _chunks(source, subset)]
    if not parts[0]:
        return {}
    joined = {key: torch.cat([part[key] for part in parts]) for key in parts[0] if key != "classes"}
    return {key: value.float().cpu().numpy() for key, value in {**joined, "classes": parts[0]["classes"]}.items()}


def columns(labels: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the column of each label among the candidate classes, which are ascending."""
    return np.searchsorted(members, labels)


def validate(method: Method, source: DeviceData, rule: str, beta: str) -> tuple[Scores, float]:
    """Return the best scores of the reported output on the validation clips, and the beta to test with.

    `rule` is `exact` or a name of `GRIDS`. `beta` is `reported`, or `mean` for the released rule: the mean of the best beta of
    each output, where 0 becomes 1e-10 because the released code takes 0 for "not given".
    """
    subset = source.data.subset("val_seen", "val_unseen")
    members, seen = source.data.candidates(1)
    labels = columns(subset.labels, members)
    by_output = distances(method, source, subset, members)
    wanted = by_output if beta == "mean" else {method.reported: by_output[method.reported]}
    best = {}
    for key, matrix in wanted.items():
        calibration = Calibration(matrix, labels, seen)
        best[key] = calibration.best_exact() if rule == "exact" else calibration.best(GRIDS[rule])
    chosen = best[method.reported].beta
    if beta == "mean":
        chosen = float(np.mean([scores.beta for scores in best.values()])) or 1e-10
    return best[method.reported], chosen
