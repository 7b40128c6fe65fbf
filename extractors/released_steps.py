"""The released layout of temporal features by class: one pickle a class, modality and split.

    features/{cls,main}_features_non_averaged/{audio,video}/<split>/<class>.pkl    features, video_names, fps

The archives of TCaF hold it. A class file is a dict: the steps (steps, dim) of each clip, its name, and the pictures a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.errors import DataError
from extractors.base import ClipError
from extractors.imported import Given, identity_of, write_imported
from extractors.released_features import MODALITIES, Inside, class_files, inside
from extractors.unpickle import per_clip, read_plain_pickle

SUFFIXES = (".pickle", ".pkl")


def holds_class_pickles(folder: Inside) -> bool:
    """Return whether a folder is of this layout."""
    if not all((folder / name).is_dir() for name in MODALITIES.values()):
        return False
    splits = (split for split in inside(folder / MODALITIES["audio"]) if split.is_dir())
    return any(file.name.endswith(SUFFIXES) for split in splits for file in inside(split))


class _Files:
    """The class files of both modalities, of each of which the last one is kept in memory."""

    def __init__(self, root: Inside) -> None:
        self.paths: dict[str, list[Inside]] = {ours: [] for ours in MODALITIES}
        self._last: dict[str, tuple[int, list[str], list[np.ndarray]]] = {}
        for paths in class_files(root, SUFFIXES).values():
            for name, path in paths.items():
                self.paths[name].append(path)

    def __len__(self) -> int:
        return len(self.paths["audio"])

    def content(self, modality: str, number: int) -> tuple[list[str], list[np.ndarray]]:
        """Return the names and the steps of the clips of a class file."""
        if modality not in self._last or self._last[modality][0] != number:
            self._last[modality] = (number, *_read(self.paths[modality][number]))
        return self._last[modality][1:]


def import_class_pickles(
    root: Inside, name: str, features: FeaturesConfig, listed: Iterable[str], arrays: Path, manifest: Path
) -> pd.DataFrame:
    """Write the released temporal features of `root` as a shard for the clips `listed`; return its FEATURES table.

    Clips come in the order of the class files, so that one class of each modality is in memory at a time. The files
    are read by an unpickler that executes nothing. Raises DataError for what is no such file, a class that only one
    modality has, audio and video that list other clips, and a clip with two different entries.
    """
    files = _Files(root)
    found: dict[str, tuple[int, int]] = {}
    digests: dict[str, bytes] = {}
    for number in range(len(files)):
        names, sounds = files.content("audio", number)
        others, pictures = files.content("visual", number)
        if names != others:
            raise DataError(
                str(files.paths["audio"][number]), "lists other clips than the file of the same name under video"
            )
        for position, (clip, sound, picture) in enumerate(zip(names, sounds, pictures, strict=True)):
            found.setdefault(clip, (number, position))
            digest = _digest(sound, picture)
            if digests.setdefault(clip, digest) != digest:
                raise DataError(
                    str(files.paths["audio"][number]), f"holds other features of {clip!r} than an earlier entry"
                )
    digests.clear()
    # A clip is found by its id, or by its id without folders and extension, where either side may have the extension.
    bare = {Path(clip).stem: place for clip, place in found.items()}
    places = {clip: found.get(clip) or found.get(Path(clip).name) or bare.get(Path(clip).stem) for clip in listed}

    def read(clip_id: str, modality: str) -> Given:
        place = places[clip_id]
        if place is None:
            raise ClipError("no_media", f"not among the features of {root}")
        return Given(files.content(modality, place[0])[1][place[1]])

    identity = identity_of(name, "released features", "as_released")
    ordered = sorted(places, key=lambda clip: (places[clip] is None, places[clip] or (0, 0)))
    seconds = (features.audio_step_seconds, features.visual_step_seconds)
    return write_imported(
        Path(str(root)), ordered, read, arrays, manifest, identity=identity, step_seconds=seconds, dtype=features.dtype
    )  # fmt: skip


def _digest(*arrays: np.ndarray) -> bytes:
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return total.digest()


def _read(path: Inside) -> tuple[list[str], list[np.ndarray]]:
    content: Any = read_plain_pickle(path)
    if not isinstance(content, dict) or {"features", "video_names"} - set(content):
        raise DataError(str(path), "is no class of temporal features: a dict of features and video_names")
    try:
        steps = list(per_clip(content["features"]))
        names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in content["video_names"]]
    except (ValueError, TypeError) as error:
        raise DataError(str(path), f"holds features that are no arrays ({error})") from error
    if len(steps) != len(names):
        raise DataError(str(path), f"holds features of {len(steps)} clips and {len(names)} names")
    return names, steps
