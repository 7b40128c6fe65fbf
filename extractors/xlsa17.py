"""Features of the public image benchmarks (res101.mat) as pictures of clips that have no sound."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.hashing import sha256_file
from avzsl.pretrained.xlsa17 import FEATURES, read_features, read_images
from extractors.base import ClipError
from extractors.imported import Given, identity_of, write_imported


def import_images(
    folder: Path, name: str, features: FeaturesConfig, listed: list[str], arrays: Path, manifest: Path
) -> pd.DataFrame:
    """Write the features of the images `listed` as a shard; return its FEATURES table. Raises DataError."""
    place = {image: row for row, image in enumerate(read_images(folder).ids)}
    values = read_features(folder)

    def read(clip_id: str, modality: str) -> Given:
        if clip_id not in place:
            raise ClipError("no_media", f"it is not in {FEATURES}")
        return Given(values[place[clip_id]], None)

    identity = identity_of(name, f"ResNet-101 of xlsa17 ({FEATURES} sha256 {sha256_file(folder / FEATURES)[:16]})")
    seconds = (features.audio_step_seconds, features.visual_step_seconds)
    return write_imported(
        folder, listed, read, arrays, manifest, identity=identity, step_seconds=seconds, dtype=features.dtype,
        modalities=("visual",),
    )  # fmt: skip
