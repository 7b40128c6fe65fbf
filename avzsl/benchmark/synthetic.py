"""Synthetic benchmarks with known structure, as files: for tests, timing and questions that real data cannot answer.

The mean of a class's features is a linear map of its class embedding, the same for all classes, so that zero-shot
transfer is possible and how well it works is known to depend on the embeddings alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from avzsl.contracts.arrays import write_arrays
from avzsl.contracts.class_embeddings import ClassEmbeddings, write_embeddings
from avzsl.contracts.schemas import FEATURES, SPLIT, SPLIT_CLASSES
from avzsl.contracts.tables import write_table

ROLE_OF = {
    "train": "train",
    "val_seen": "train",
    "test_seen": "train",
    "val_unseen": "val_unseen",
    "test_unseen": "test_unseen",
}


@dataclass(frozen=True)
class SyntheticFiles:
    """Where `write` put the files that `avzsl.benchmark.assemble` takes."""

    split: Path
    pack: tuple[Path, Path]
    embeddings: Path


def write(
    folder: Path,
    counts: Mapping[str, Mapping[str, int]],
    vectors: Mapping[str, np.ndarray],
    phrases: Mapping[str, str] | None = None,
    *,
    dims: tuple[int, int] = (32, 32),
    noise: float = 1.0,
    seed: int = 0,
) -> SyntheticFiles:
    """Write a split, packed features and class embeddings to `folder`.

    `counts` is clips per class of each subset; a class that has clips in val_unseen or test_unseen must not be in
    train. `vectors` are class embeddings of all classes of the data set, also of those without clips;
    `clip_features` says what the features are.
    """
    names = sorted(vectors)
    rows = [(subset, name, n) for subset, classes in counts.items() for name, n in classes.items()]
    split = pd.DataFrame(
        [(f"{subset}/{name}/{i}", name, subset) for subset, name, n in rows for i in range(n)],
        columns=["clip_id", "class_name", "subset"],
    )
    features = clip_features(split["class_name"], vectors, dims=dims, noise=noise, seed=seed)
    roles = {name: ROLE_OF[subset] for subset, classes in counts.items() for name in classes}
    for name, subset in ((n, s) for s in ("val_unseen", "test_unseen") for n in counts[s]):
        roles[name] = ROLE_OF[subset]
    # Stage 2's seen test may hold classes that were unseen in validation: their role stays val_unseen.
    write_table(folder / "split.parquet", split, SPLIT)
    classes = pd.DataFrame(sorted(roles.items()), columns=["class_name", "role"])
    write_table(folder / "classes.parquet", classes, SPLIT_CLASSES)
    manifest = pd.DataFrame(
        {
            "clip_id": split["clip_id"],
            "shard": 0,
            "status": "ok",
            "row": np.arange(len(split)),
            "audio_steps": 1,
            "visual_steps": 1,
        }
    )
    write_table(folder / "packed.parquet", manifest, FEATURES)
    header = {"clip_ids": split["clip_id"].tolist(), "extractor": {"name": "synthetic", "random_weights": True}}
    write_arrays(folder / "packed.safetensors", features, header)
    made = ClassEmbeddings(
        tuple(names),
        np.stack([vectors[name] for name in names]),
        tuple((phrases or {}).get(name, name) for name in names),
        {"name": "synthetic"},
    )
    write_embeddings(made, folder / "embeddings.safetensors")
    return SyntheticFiles(
        folder, (folder / "packed.safetensors", folder / "packed.parquet"), folder / "embeddings.safetensors"
    )


def clip_features(
    labels: Iterable[str],
    vectors: Mapping[str, np.ndarray],
    *,
    dims: tuple[int, int] = (32, 32),
    noise: float = 1.0,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Return `audio` and `visual`, (clips, dim) float32, of clips of the classes `labels`.

    Features are max(0, M w + noise) with `dims` (audio, visual) columns and w the vector of the clip's class; M has
    unit-variance entries, so a class's mean has about unit variance where w has unit norm, and `noise` is the standard
    deviation of a clip around it.
    """
    rng = np.random.default_rng(seed)
    runs = [(name, sum(1 for _ in group)) for name, group in groupby(labels)]
    maps = [rng.standard_normal((dim, len(next(iter(vectors.values()))))) for dim in dims]
    return {
        modality: np.concatenate(
            [
                np.maximum(m @ vectors[name] + noise * rng.standard_normal((n, len(m))), 0).astype(np.float32)
                for name, n in runs
            ]
        )
        for modality, m in zip(("audio", "visual"), maps, strict=True)
    }


def small(
    classes: Sequence[int] = (8, 4, 4), clips: int = 8, dim: int = 16, seed: int = 0
) -> tuple[dict[str, dict[str, int]], dict[str, np.ndarray]]:
    """Return counts and vectors of a small benchmark: `classes` of role train, val_unseen and test_unseen.

    A class is a pair of words and its vector their normalised sum; the unseen classes recombine words of others.
    """
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(sum(classes))))
    words = rng.standard_normal((2, side, dim))
    pairs = rng.permutation(side**2)[: sum(classes)]
    names = [f"class {i:03d}" for i in range(sum(classes))]
    train, unseen = names[: classes[0]], names[classes[0] :]
    val, test = unseen[: classes[1]], unseen[classes[1] :]
    counts = {
        "train": dict.fromkeys(train, clips),
        "val_seen": dict.fromkeys(train, max(1, clips // 4)),
        "val_unseen": dict.fromkeys(val, clips),
        "test_seen": dict.fromkeys([*train, *val], max(1, clips // 4)),
        "test_unseen": dict.fromkeys(test, clips),
    }
    vectors = words[0, pairs % side] + words[1, pairs // side]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return counts, dict(zip(names, vectors, strict=True))
