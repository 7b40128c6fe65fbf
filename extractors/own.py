"""Features of one's own, without a video: a folder with a CSV that names clips, and arrays (docs/own-features.md).

    FOLDER/clips.csv                    clip_id, class_name, and what else the catalogue `table` knows
    FOLDER/audio/ID.npy, visual/ID.npy  one file a clip and modality, or
    FOLDER/ID.npz                       one file a clip with arrays `audio` and `visual`, or
    FOLDER/features.safetensors         one file for all (or features.h5, features.npz): `ID/audio` and `ID/visual`, or
                                        `audio` and `visual` with rows in the order of clips.csv, which `audio_offsets` and
                                        `visual_offsets` cut into clips (without them a row is a clip)

An array is (width,) or (steps, width). Without any array of one modality the features have only the other. `audio_times` and `visual_times` (steps, 2) may stand beside each.
"""

from __future__ import annotations

import contextlib
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.vocabulary import MODALITIES
from extractors.arrays import Arrays, open_arrays, read_npy
from extractors.base import ClipError
from extractors.imported import Given, Read, identity_of, write_imported

TABLE = "clips.csv"
FILES = ("features.safetensors", "features.h5", "features.hdf5", "features.npz")


def import_own(
    folder: Path, name: str, features: FeaturesConfig, listed: list[str], arrays: Path, manifest: Path
) -> pd.DataFrame:
    """Write the arrays below `folder` as a shard for the clips `listed`; return its FEATURES table.

    `name` is the feature set's. Raises DataError, one sentence that names file and clip, for a folder without the CSV or
    without any array, offsets that do not fit, and what `write_imported` refuses.
    """
    order = _order(folder)
    with contextlib.ExitStack() as stack:
        path = next((folder / file for file in FILES if (folder / file).is_file()), None)
        if path is None:
            read, there = _of_files(folder), _modalities_of_files(folder)
        else:
            held = open_arrays(path, stack)
            read, there = _of_one(path, held, order), _modalities_of_one(held, order)
        identity = identity_of(name, f"features of one's own ({_identity(folder, path)})")
        seconds = (features.audio_step_seconds, features.visual_step_seconds)
        return write_imported(
            folder, listed, read, arrays, manifest, identity=identity, step_seconds=seconds, dtype=features.dtype,
            modalities=there or MODALITIES,
        )  # fmt: skip


def _identity(folder: Path, path: Path | None) -> str:
    """Return what tells one set of features from another: the checksum of its file, or of its CSV."""
    return f"{(path or folder / TABLE).name} sha256 {sha256_file(path or folder / TABLE)[:16]}"


def _order(folder: Path) -> dict[str, int]:
    """Return the place of each clip in the CSV."""
    path = folder / TABLE
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise DataError(path, "does not exist; it names the clips in a column clip_id") from error
    except (OSError, ValueError) as error:
        raise DataError(path, f"is not a readable CSV ({error})") from error
    if "clip_id" not in table.columns:
        raise DataError(path, f"has no column clip_id; its columns are {', '.join(map(str, table.columns))}")
    twice = table["clip_id"][table["clip_id"].duplicated()]
    if len(twice):
        raise DataError(path, f"names clip {twice.iloc[0]!r} twice")
    return {clip_id: place for place, clip_id in enumerate(table["clip_id"])}


def _of_files(folder: Path) -> Read:
    """Return a reader of one file a clip: ID.npz, or audio/ID.npy and visual/ID.npy."""
    if not (any(folder.glob("**/*.npy")) or any(folder.glob("**/*.npz"))):
        raise DataError(folder, f"holds no features: none of {', '.join(FILES)}, no ID.npz, no audio/ID.npy")

    def read(clip_id: str, modality: str) -> Given:
        parts = PurePosixPath(clip_id).parts
        if not parts or clip_id.startswith("/") or ".." in parts or "\0" in clip_id:
            raise ClipError("no_media", "its id leads out of the folder of features")
        packed, alone = folder / f"{clip_id}.npz", folder / modality / f"{clip_id}.npy"
        if packed.is_file():
            try:
                with contextlib.ExitStack() as stack:
                    held = open_arrays(packed, stack)
                    values, times = held.read(modality), held.read(f"{modality}_times")
            except DataError as error:
                raise ClipError("corrupt", str(error)) from error
            if values is None:
                raise ClipError("corrupt", f"{packed.name} holds no array {modality!r}")
            return Given(values, times)
        if not alone.is_file():
            raise ClipError("no_media", f"there is no {modality}/{clip_id}.npy and no {clip_id}.npz")
        beside = folder / modality / f"{clip_id}.times.npy"
        return Given(_npy(alone), _npy(beside) if beside.is_file() else None)

    return read


def _modalities_of_files(folder: Path) -> tuple[str, ...]:
    """Return which modalities any clip has a file or an array of."""

    def named(modality: str) -> bool:
        if any((folder / modality).rglob("*.npy")):
            return True
        for path in folder.rglob("*.npz"):
            # A file that is no archive is its clip's fault, and found there.
            with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
                if f"{modality}.npy" in archive.namelist():
                    return True
        return False

    return tuple(filter(named, MODALITIES))


def _modalities_of_one(held: Arrays, order: dict[str, int]) -> tuple[str, ...]:
    """Return which modalities a file holds, for all clips or for any."""

    def named(modality: str) -> bool:
        return held.shape(modality) is not None or any(held.shape(f"{clip}/{modality}") is not None for clip in order)

    return tuple(filter(named, MODALITIES))


def _of_one(path: Path, held: Arrays, order: dict[str, int]) -> Read:
    """Return a reader of one file for all clips, by name or by row."""
    cuts = {name: _offsets(path, held, name, len(order)) for name in MODALITIES}

    def read(clip_id: str, modality: str) -> Given:
        offsets = cuts[modality]
        if offsets is None:
            values = held.read(f"{clip_id}/{modality}")
            if values is None:
                raise ClipError("no_media", f"{path.name} holds no {clip_id}/{modality}")
            return Given(values, held.read(f"{clip_id}/{modality}_times"))
        if clip_id not in order:
            raise ClipError("no_media", f"it is not in {TABLE}")
        part = slice(int(offsets[order[clip_id]]), int(offsets[order[clip_id] + 1]))
        values = held.read(modality, part)
        assert values is not None
        return Given(values, held.read(f"{modality}_times", part))

    return read


def _offsets(path: Path, held: Arrays, name: str, clips: int) -> np.ndarray | None:
    """Return where each clip of the CSV begins in the rows of a modality; None if clips are named one by one."""
    shape = held.shape(name)
    if shape is None:
        return None
    cuts = held.read(f"{name}_offsets")
    cuts = held.read("offsets") if cuts is None else cuts
    cuts = np.arange(clips + 1) if cuts is None else np.asarray(cuts, dtype=np.int64)
    if (
        len(shape) != 2
        or cuts.shape != (clips + 1,)
        or cuts[0] != 0
        or cuts[-1] != shape[0]
        or (np.diff(cuts) < 0).any()
    ):
        raise DataError(
            path,
            f"{name} has shape {shape} and {len(cuts)} offsets for the {clips} clips of {TABLE}; "
            "give one row a clip, or offsets from 0 to the number of rows",
        )
    return cuts


def _npy(path: Path) -> np.ndarray:
    try:
        return read_npy(path)
    except (OSError, ValueError, EOFError) as error:
        raise ClipError("corrupt", f"{path.name} is not a readable array ({error})") from error
