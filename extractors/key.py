"""What the features of a shard depend on, as one hash."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pandas as pd

import avzsl
from avzsl.config.features import FeaturesConfig
from avzsl.contracts.hashing import sha256_file, sha256_value

# Settings that change how long it takes and nothing else.
_NO_CONTENT = {"title"}


# What decodes and computes.
LIBRARIES = ("av", "numpy", "torch", "torchvision")


def shard_key(media: pd.DataFrame, features: FeaturesConfig, device: str) -> str:
    """Return a hash of all that decides the features of a shard, independent of paths, times and people.

    `media` is a MEDIA table: its clips count by id, status and the checksum of their bytes. `device` ("cpu" or
    "cuda") counts, since the two round differently, and so do the versions of avzsl and of what decodes and computes.
    """
    weights = features.weights.path
    path = Path(weights).expanduser() if weights else None
    return sha256_value(
        [
            "features",
            avzsl.__version__,
            {name: version_of(name) for name in (*LIBRARIES, features.backend)},
            features.model_dump(mode="json", exclude=_NO_CONTENT),
            sha256_file(path) if path is not None and path.is_file() else weights,
            device,
            media[["clip_id", "shard", "status", "sha256"]]
            .astype(object)
            .where(media.notna(), None)  # type: ignore[call-overload]
            .to_numpy()
            .tolist(),
        ]
    )


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
