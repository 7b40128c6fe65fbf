"""Small files of the layout of the public image benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

CLASSES, IMAGES, DIM, ATTRIBUTES = 10, 12, 16, 6


def contents(parts: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the variables of res101.mat and att_splits.mat: ten classes of twelve images, classes 8 and 9 unseen."""
    rng = np.random.default_rng(0)
    attributes = rng.random((ATTRIBUTES, CLASSES))
    attributes /= np.linalg.norm(attributes, axis=0)
    labels = np.tile(np.arange(CLASSES), IMAGES)  # a class's images are not beside one another
    names = [f"{i + 1:03d}.odd_bird+{chr(97 + i)}" for i in range(CLASSES)]
    features = rng.standard_normal((DIM, ATTRIBUTES)) @ attributes[:, labels] + 0.05 * rng.standard_normal(
        (DIM, labels.size)
    )
    files = [f"/somewhere/images/{names[label]}/{number:04d}.jpg" for number, label in enumerate(labels)]
    unseen = labels >= 8
    tested = ~unseen & (np.arange(labels.size) // CLASSES >= 9)
    images = {"features": features, "labels": labels[:, None] + 1, "image_files": cells(files)}
    splits = {
        "att": attributes, "original_att": attributes * 100, "allclasses_names": cells(names),
        "trainval_loc": column(~unseen & ~tested), "test_seen_loc": column(tested), "test_unseen_loc": column(unseen),
    }  # fmt: skip
    if parts:
        splits |= {"train_loc": column(labels < 6), "val_loc": column((labels >= 6) & ~unseen)}
    return images, splits


def cells(names: list[str]) -> np.ndarray:
    out = np.empty((len(names), 1), dtype=object)
    out[:, 0] = names
    return out


def column(chosen: np.ndarray) -> np.ndarray:
    return np.flatnonzero(chosen)[:, None].astype(np.float64) + 1


def write(folder: Path, images: dict[str, Any], splits: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / "res101.mat", images)
    savemat(folder / "att_splits.mat", splits)
    return folder
