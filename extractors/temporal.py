"""The released layout of temporal features, read and written: pickles of lists, an entry a clip.

TCaF's extraction writes [video, class ids, audio, file names] with video (steps, dim) and audio (steps, dim) of each clip.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import DataError
from avzsl.contracts.streams import Stream
from extractors.base import ClipError
from extractors.imported import Given, identity_of, write_imported
from extractors.released_features import Inside, inside
from extractors.unpickle import read_feature_pickle

SUFFIXES = (".pickle", ".pkl")


def pickles(folder: Inside) -> list[Inside]:
    """Return the pickles of a folder, or the one that is named itself, in the order of names."""
    if folder.is_file():
        return [folder]
    return [path for path in inside(folder) if path.name.endswith(SUFFIXES)]


def import_temporal(
    folder: Inside, name: str, features: FeaturesConfig, listed: Iterable[str], arrays: Path, manifest: Path
) -> pd.DataFrame:
    """Write the released temporal features of `folder` as a shard for the clips `listed`; return its FEATURES table.

    A clip is found by its id, or by its id without folders and extension, as the released file names are. The pickles
    are read one after the other by an unpickler that executes nothing, and are in memory together.
    Raises DataError for what is no such pickle, and a clip with two different entries.
    """
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for path in pickles(folder):
        content = read_feature_pickle(path)
        for clip, audio, visual in zip(content["filenames"], content["audio"], content["video"], strict=True):
            kept = found.setdefault(clip, (audio, visual))
            if not (np.array_equal(kept[0], audio) and np.array_equal(kept[1], visual)):
                raise DataError(str(path), f"holds other features of {clip!r} than an earlier entry")

    def read(clip_id: str, modality: str) -> Given:
        entry = found.get(clip_id) or found.get(Path(clip_id).stem) or found.get(Path(clip_id).name)
        if entry is None:
            raise ClipError("no_media", f"not among the features of {folder}")
        return Given(entry[modality == "visual"])

    identity = identity_of(name, "released features", "as_released")
    seconds = (features.audio_step_seconds, features.visual_step_seconds)
    return write_imported(
        Path(str(folder)),
        list(listed),
        read,
        arrays,
        manifest,
        identity=identity,
        step_seconds=seconds,
        dtype=features.dtype,
    )


def export_temporal(
    streams: dict[str, Stream], rows: dict[str, int], clips: pd.DataFrame, class_ids: dict[str, int], path: Path
) -> int:
    """Write the steps of some clips as one pickle of the released layout; return how many there are.

    `clips` has clip_id and class_name, `rows` the place of each clip with features in `streams`, `class_ids` the number
    of each class. The arrays are plain numpy, float32.
    """
    there = [(str(c.clip_id), str(c.class_name)) for c in clips.itertuples() if rows.get(str(c.clip_id), -1) >= 0]
    parts = {
        name: [np.array(stream.clip(rows[clip])[0], dtype=np.float32) for clip, _ in there]
        for name, stream in streams.items()
    }
    labels = np.array([class_ids[name] for _, name in there], dtype=np.int64)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        pickle.dump([parts["visual"], labels, parts["audio"], [clip for clip, _ in there]], stream, protocol=4)
    return len(there)
