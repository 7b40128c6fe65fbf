"""What the features of a shard depend on, as one hash."""

from __future__ import annotations

import importlib.metadata

import pandas as pd

import avzsl
from avzsl.config.base import local_paths
from avzsl.config.features import ExtractorOptions, FeaturesConfig
from avzsl.contracts.hashing import sha256_file, sha256_value
from extractors.base import options_of

# What decodes and computes for every extractor.
LIBRARIES = ("av", "numpy", "torch")


def shard_key(media: pd.DataFrame, features: FeaturesConfig, device: str) -> str:
    """Return a hash of all that decides the features of a shard, independent of paths, times and people.

    `media` is a MEDIA table: its clips count by id, status and the checksum of their bytes. `device` ("cpu" or
    "cuda") counts, since the two round differently, and so do the versions of avzsl and of what decodes and computes.
    """
    options = options_of(features)
    files = {key: sha256_file(path) for key, _, path in local_paths(options) if path.is_file()}
    return sha256_value(
        [
            "features",
            avzsl.__version__,
            {name: version_of(name) for name in libraries(options)},
            features.model_dump(mode="json", include={"extractor", "dtype", "time_limit_s", "max_lost_share"}),
            options.model_dump(mode="json") | options.revised,
            files,
            device,
            media.reindex(columns=["clip_id", "shard", "status", "sha256"])
            .astype(object)
            .where(media.notna(), None)  # type: ignore[call-overload]
            .to_numpy()
            .tolist(),
        ]
    )


def libraries(options: ExtractorOptions) -> tuple[str, ...]:
    """Return the packages whose versions change an extractor's features."""
    return tuple(dict.fromkeys((*LIBRARIES, *options.libraries)))


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
