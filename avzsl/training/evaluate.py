"""Distances of a method on a subset, chunk by chunk, and their calibration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.benchmark import Subset
from avzsl.config.methods import TrainingConfig
from avzsl.evaluation import GRIDS, Calibration, Scores
from avzsl.methods import Method
from avzsl.training.sampling import DeviceData
from avzsl.training.sequences import chunks, take

# Clips in one forward pass: bounds the memory of the activations, not of the result.
CHUNK = 4096


def _outputs(
    call: Callable[[Any, Any], dict[str, Tensor]],
    method: Method,
    source: DeviceData,
    subset: Subset,
    training: TrainingConfig,
) -> dict[str, Tensor]:
    """Return what `call` gives for the clips of a subset, in their order, from audio and visual of one chunk after another.

    `classes`, if `call` gives them, are those of the first chunk.
    """
    cropper = source.cropper(training, method.step_seconds, subset)
    rows = torch.from_numpy(subset.rows)
    if cropper is None:
        places = iter(torch.split(torch.arange(len(rows)), CHUNK))
    else:
        kept = cropper.test_parts(rows)
        places = iter(chunks(kept, (source.audio.shape[1], source.visual.shape[1])))
    whole: dict[str, Tensor] = {}
    for place in places:
        if cropper is None:
            part = call(*source.averages(rows[place].to(source.device)))
        else:
            part = call(*source.gather(rows[place], take(kept, place)))
        if not part:
            break
        # Written where it belongs: a second copy of all clips' distances would be gigabytes.
        there = place.to(source.device)
        for key, value in part.items():
            if key == "classes":
                whole.setdefault(key, value)
                continue
            if key not in whole:
                whole[key] = value.new_empty((len(rows), *value.shape[1:]))
            whole[key][there] = value
    return whole


@torch.no_grad()
def distances(
    method: Method, source: DeviceData, subset: Subset, members: np.ndarray, training: TrainingConfig
) -> dict[str, np.ndarray]:
    """Return each output's distances (clips, candidates) in evaluation mode; `members` are the candidate classes."""
    method.eval()
    classes = source.vectors[torch.from_numpy(members).to(source.device)]
    found = _outputs(lambda audio, visual: method.distances(audio, visual, classes), method, source, subset, training)
    return {key: value.cpu().numpy() for key, value in found.items()}


@torch.no_grad()
def embeddings(
    method: Method, source: DeviceData, subset: Subset, members: np.ndarray, training: TrainingConfig
) -> dict[str, np.ndarray]:
    """Return the method's embeddings of clips and candidate classes, float32; empty if it has none."""
    method.eval()
    classes = source.vectors[torch.from_numpy(members).to(source.device)]
    found = _outputs(lambda audio, visual: method.embed(audio, visual, classes), method, source, subset, training)
    return {key: value.float().cpu().numpy() for key, value in found.items()}


def columns(labels: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return the column of each label among the candidate classes, which are ascending."""
    return np.searchsorted(members, labels)


def validate(method: Method, source: DeviceData, training: TrainingConfig) -> tuple[Scores, float]:
    """Return the best scores of the reported output on the validation clips, and the beta to test with.

    `training.calibration` is `exact` or a name of `GRIDS`. `training.beta` is `reported`, or `mean` for the released rule: the mean
    of the best beta of each output, where 0 becomes 1e-10 because the released code takes 0 for "not given".
    """
    beta = training.beta
    subset = source.data.subset("val_seen", "val_unseen")
    members, seen = source.data.candidates(1)
    labels = columns(subset.labels, members)
    by_output = distances(method, source, subset, members, training)
    wanted = by_output if beta == "mean" else {method.reported: by_output[method.reported]}
    best = {}
    for key, matrix in wanted.items():
        calibration = Calibration(matrix, labels, seen)
        best[key] = (
            calibration.best_exact()
            if training.calibration == "exact"
            else calibration.best(GRIDS[training.calibration])
        )
    chosen = best[method.reported].beta
    if beta == "mean":
        chosen = float(np.mean([scores.beta for scores in best.values()])) or 1e-10
    return best[method.reported], chosen
