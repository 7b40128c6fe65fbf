"""The released layout of averaged features, read and written: one .h5 file a class, modality and split.

    features/main_features/{audio,video}/<split>/<class>.h5    data (clips, dim) float32, video_urls (clips) strings

Reading it lets a user train on the released features without a video; writing it feeds ours to the released code.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.sizes import believable
from avzsl.contracts.tables import read_table
from avzsl.runtime.seals import uses
from extractors.arrays import own_dataset
from extractors.base import ClipError
from extractors.imported import Given, identity_of, write_imported

FOLDER = Path("features") / "main_features"
MODALITIES = {"audio": "audio", "visual": "video"}  # ours -> theirs
# The released folders and the subsets whose clips they hold; stage 2 trains on all that stage 1 looked at.
SPLITS = {
    "stage_1_train": ("train",),
    "stage_1_val_seen": ("val_seen",),
    "stage_1_val_unseen": ("val_unseen",),
    "stage_2_train": ("train", "val_seen", "val_unseen"),
    "stage_2_test_seen": ("test_seen",),
    "stage_2_test_unseen": ("test_unseen",),
}


# A folder on disk or in a zip archive.
Inside = Path | zipfile.Path
# Bytes of one class file; the largest released ones have some MB.
MAX_BYTES = 1 << 28


def import_features(
    folder: Path, arrays: Path, manifest: Path, listed: Iterable[str] = (), extractor: str = "selavi", within: str = ""
) -> pd.DataFrame:
    """Write the released features under `folder` as a shard; return a table of clip_id, class_name and split.

    `folder` is the one that holds features/main_features, or main_features itself; with `within`, that folder inside it. It
    may be a zip archive, which is read as it is. A clip has one row of the returned
    table for every split that lists it. The per-second features were never released: an average is a clip's one step, without
    a time. `listed` are the clips of the catalogue: those without features keep a row in the manifest that says so.
    `extractor` is what made the features: only those of SeLaVi are the released ones.

    Raises DataError for a missing modality, audio and video that disagree, a clip of two classes, or two different
    vectors for one clip.
    """
    root = _root(place(Path(folder), within))
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    rows: list[dict[str, str]] = []
    classes: dict[str, str] = {}
    for split, class_name, ids, audio, visual, path in _files(root):
        for clip_id, sound, picture in zip(ids, audio, visual, strict=True):
            if classes.setdefault(clip_id, class_name) != class_name:
                raise DataError(str(path), f"lists {clip_id!r}, which is in class {classes[clip_id]!r} elsewhere")
            kept = found.setdefault(clip_id, (sound, picture))
            if not (np.array_equal(kept[0], sound) and np.array_equal(kept[1], picture)):
                raise DataError(str(path), f"holds another vector for {clip_id!r} than an earlier split")
            rows.append({"clip_id": clip_id, "class_name": class_name, "split": split})
    if not found:
        raise DataError(str(root), "holds no <split>/<class>.h5 under audio and video")
    selavi = extractor == "selavi"
    weights = "released features" if selavi else f"{extractor} features"
    identity = identity_of(extractor, weights, "as_released" if selavi else None)

    def read(clip_id: str, modality: str) -> Given:
        if clip_id not in found:
            raise ClipError("no_media", f"not among the features of {root}")
        return Given(found[clip_id][list(MODALITIES).index(modality)], np.zeros((1, 2)))

    wanted = [*found, *(clip_id for clip_id in listed if clip_id not in found)]
    write_imported(Path(str(root)), wanted, read, arrays, manifest, identity=identity)
    return pd.DataFrame(rows)


def export_features(arrays: Path, manifest: Path, clips: pd.DataFrame, folder: Path) -> dict[str, int]:
    """Write a pack in the released layout under `folder`; return the number of clips in each split.

    `clips` has the columns clip_id, class_name and subset (a SPLIT table joined with its classes). Clips without
    features and clips of other subsets are left out. Raises DataError if a class name cannot be a file name.
    """
    values, header = read_arrays(arrays)
    table = read_table(manifest, FEATURES)
    place = dict(zip(table["clip_id"], table["row"], strict=True))
    counts: dict[str, int] = {}
    if header.get("clip_ids") is None or {"audio", "visual"} - set(values):
        raise DataError(arrays, "is not a pack of features")
    for split, subsets in SPLITS.items():
        part = clips[clips["subset"].isin(subsets)]
        counts[split] = 0
        for class_name, members in part.groupby("class_name", sort=True):
            ids = [clip_id for clip_id in members["clip_id"] if place.get(clip_id, -1) >= 0]
            if not ids:
                continue
            if "/" in str(class_name) or "\0" in str(class_name) or str(class_name) in {".", ".."}:
                raise DataError(arrays, f"class {class_name!r} cannot be the name of a file, which the layout asks for")
            rows = [place[clip_id] for clip_id in ids]
            for ours, theirs in MODALITIES.items():
                _write(Path(folder) / FOLDER / theirs / split / f"{class_name}.h5", values[ours][rows], ids)
            counts[split] += len(ids)
    return counts


def place(folder: Path, within: str = "") -> Inside:
    """Return the folder `within` of a folder or zip archive; raises DataError if it is neither or has no such folder."""
    try:
        found: Inside = zipfile.Path(folder) if folder.is_file() and folder.suffix == ".zip" else folder
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(folder, f"is not a whole zip archive ({error}); get it again") from error
    if isinstance(found, zipfile.Path):
        uses(folder)
    found = found / within if within else found
    if not found.exists():
        raise DataError(folder, f"holds no folder {within!r}" if within else "does not exist")
    return found


def _root(folder: Inside) -> Inside:
    for below in ("", FOLDER.as_posix(), FOLDER.name):
        root = folder / below if below else folder
        if all((root / name).is_dir() for name in MODALITIES.values()):
            return root
    raise DataError(str(folder), f"has no {FOLDER}/audio and {FOLDER}/video; name the folder that holds `features`")


def class_files(root: Inside, suffixes: tuple[str, ...] = (".h5",)) -> dict[tuple[str, str], dict[str, Inside]]:
    """Return the files of both modalities by split and file name, in the order of names.

    Raises DataError for a class of which there is one modality only.
    """
    found: dict[tuple[str, str], dict[str, Inside]] = {}
    for ours, theirs in MODALITIES.items():
        for folder in (entry for entry in inside(root / theirs) if entry.is_dir()):
            for file in inside(folder):
                if file.name.endswith(suffixes):
                    found.setdefault((folder.name, file.name), {})[ours] = file
    for (split, name), paths in sorted(found.items()):
        if len(paths) < len(MODALITIES):
            raise DataError(f"{root}/{split}/{name}", "is there for one modality only")
    return found


def inside(folder: Inside) -> list[Inside]:
    """Return what lies in a folder, in the order of names."""
    entries: list[Inside] = list(folder.iterdir())
    return sorted(entries, key=lambda entry: entry.name)


def _files(root: Inside) -> Iterator[tuple[str, str, list[str], np.ndarray, np.ndarray, Inside]]:
    """Yield split, class, clip ids, audio and visual of every class file, in the order of names."""
    for (split, name), paths in class_files(root).items():
        path = paths["audio"]
        ids, audio = _read(path)
        video_ids, visual = _read(paths["visual"])
        if ids != video_ids:
            raise DataError(str(path), "lists other clips than the file of the same name under video")
        yield split, name.removesuffix(".h5"), ids, audio, visual, path


def _read(path: Inside) -> tuple[list[str], np.ndarray]:
    where = str(path)
    if isinstance(path, Path):
        uses(path)
    try:
        with h5py.File(path if isinstance(path, Path) else _content(path), "r") as file:
            data = np.asarray(_dataset(where, file, "data")[()])
            urls = _dataset(where, file, "video_urls")[()]
    except (OSError, ValueError, TypeError, RuntimeError, MemoryError, zipfile.BadZipFile) as error:
        raise DataError(where, f"is not a readable HDF5 file of features ({error})") from error
    ids = [u.decode("utf-8", "replace") if isinstance(u, bytes) else str(u) for u in np.atleast_1d(urls)]
    if data.ndim != 2 or len(data) != len(ids):
        raise DataError(where, f"data has shape {data.shape} for {len(ids)} video_urls")
    if data.dtype.kind not in "fiub" or not data.shape[1]:
        raise DataError(where, f"data is {data.dtype.name} of shape {data.shape}, not real numbers in columns")
    if not np.isfinite(data).all():
        raise DataError(where, "data holds NaN or infinity")
    return ids, np.asarray(data, np.float32)


def _content(path: zipfile.Path) -> io.BytesIO:
    """Return a file of an archive, which HDF5 reads in any order, in memory."""
    info = path.root.getinfo(path.at)
    if info.file_size > MAX_BYTES or not believable(info.file_size, info.compress_size):
        raise DataError(str(path), f"unpacks to {info.file_size} bytes; a class of features is smaller")
    return io.BytesIO(path.read_bytes())


def _dataset(path: str, file: h5py.File, name: str) -> Any:
    """Return a data set that lies in this file and has the size of a class."""
    found = own_dataset(path, file, name)
    if found is None:
        raise DataError(path, f"has no data set {name!r} of its own")
    if found.size * found.dtype.itemsize > MAX_BYTES:
        raise DataError(path, f"data set {name!r} has {found.size} numbers; a class of features is smaller")
    return found


def _write(path: Path, data: np.ndarray, ids: list[str]) -> None:
    with replacing(path) as temporary, h5py.File(temporary, "w", track_order=False) as file:
        file.create_dataset("data", data=np.ascontiguousarray(data, np.float32))
        file.create_dataset("video_urls", data=ids, dtype=h5py.string_dtype("utf-8"))
