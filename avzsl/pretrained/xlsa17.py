"""The public image benchmarks of Xian et al. (Zero-Shot Learning: A Comprehensive Evaluation, TPAMI 2018), as files.

A data set (SUN, CUB, AWA1, AWA2) is a folder with res101.mat, features of a ResNet-101 (2048, images) with labels and the
images' paths, and att_splits.mat, the classes' attributes and names and the places of the images in each subset, from 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from avzsl.contracts.errors import DataError

FEATURES, SPLITS = "res101.mat", "att_splits.mat"
NEEDED = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
# Of the images in trainval_loc: classes to train on and others to validate on. They may hold images of test_seen_loc too.
PARTS = ("train_loc", "val_loc")
ADVICE = "fetch xlsa17.zip again (docs/image-benchmarks.md)"


@dataclass(frozen=True)
class Classes:
    """Names of the classes in the order of the labels, attributes float32 (classes, attributes), and places from 0."""

    names: list[str]
    attributes: np.ndarray
    places: dict[str, np.ndarray]


@dataclass(frozen=True)
class Images:
    """Ids of the images (the last two parts of their paths) and the number of each one's class, from 0."""

    ids: list[str]
    labels: np.ndarray


def phrase_of(name: str) -> str:
    """Return a class name as words: `001.Black_footed_Albatross` and `killer+whale` lose number, `_` and `+`."""
    return " ".join(re.sub(r"^\d+\.", "", name).replace("_", " ").replace("+", " ").split()) or name


def read_classes(folder: Path, original: bool = False) -> Classes:
    """Read att_splits.mat; `original` takes attributes as annotated in place of those of norm 1. Raises DataError."""
    path, key = Path(folder) / SPLITS, "original_att" if original else "att"
    held = _read(path, ("allclasses_names", key, *NEEDED, *PARTS))
    names = _strings(path, held, "allclasses_names")
    twice = sorted({phrase_of(name) for name in names if sum(phrase_of(n) == phrase_of(name) for n in names) > 1})
    if twice:
        raise DataError(path, f"names the class {twice[0]!r} twice in allclasses_names; {ADVICE}")
    attributes = _numbers(path, held, key)
    if attributes.ndim != 2 or attributes.shape[1] != len(names):
        raise DataError(
            path, f"{key} has shape {attributes.shape}, expected a column for each of {len(names)} classes; {ADVICE}"
        )
    places = {name: _places(path, held, name) for name in (*NEEDED, *PARTS) if name in NEEDED or name in held}
    return Classes(names, np.ascontiguousarray(attributes.T, dtype=np.float32), places)


def read_images(folder: Path) -> Images:
    """Read ids and labels of res101.mat; raises DataError."""
    path = Path(folder) / FEATURES
    held = _read(path, ("labels", "image_files"))
    labels = _whole(path, held, "labels") - 1
    files = _strings(path, held, "image_files")
    if len(files) != len(labels):
        raise DataError(path, f"has {len(files)} image_files and {len(labels)} labels; {ADVICE}")
    ids = ["/".join(PurePosixPath(file.replace("\\", "/")).parts[-2:]) for file in files]
    if len(set(ids)) < len(ids):
        seen: set[str] = set()
        twice = next(name for name in ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise DataError(path, f"names the image {twice!r} twice in image_files; {ADVICE}")
    return Images(ids, labels)


def read_features(folder: Path) -> np.ndarray:
    """Return the features of all images, float32 (images, dim); raises DataError."""
    path = Path(folder) / FEATURES
    held = _read(path, ("features", "labels"))
    found, count = _numbers(path, held, "features"), np.size(held.get("labels", ()))
    if found.ndim != 2 or found.shape[1] != count:
        raise DataError(
            path, f"features has shape {found.shape}, expected a column for each of {count} images; {ADVICE}"
        )
    return np.ascontiguousarray(found.T, dtype=np.float32)


def check_together(folder: Path, classes: Classes, images: Images) -> None:
    """Raise DataError where labels or places of the two files do not fit each other, or an unseen class is trained on."""
    path = Path(folder) / SPLITS
    if images.labels.size and not (images.labels.min() >= 0 and images.labels.max() < len(classes.names)):
        raise DataError(
            Path(folder) / FEATURES, f"has a label outside 1 to {len(classes.names)}, the classes of {SPLITS}; {ADVICE}"
        )
    for name, places in classes.places.items():
        if places.size and places.max() >= len(images.ids):
            raise DataError(path, f"{name} holds {places.max() + 1}, and there are {len(images.ids)} images; {ADVICE}")
    subsets = [set(classes.places[name].tolist()) for name in NEEDED]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        both = subsets[one] & subsets[other]
        if both:
            raise DataError(path, f"has image {min(both) + 1} in {NEEDED[one]} and in {NEEDED[other]}; {ADVICE}")
    trained, unseen = (set(images.labels[classes.places[name]].tolist()) for name in (NEEDED[0], NEEDED[2]))
    if trained & unseen:
        name = classes.names[min(trained & unseen)]
        raise DataError(path, f"has images of {name!r} in trainval_loc and in test_unseen_loc; {ADVICE}")


def _read(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(path, "is not there; unpack the data set's folder of xlsa17.zip (docs/image-benchmarks.md)")
    try:
        return dict(loadmat(path, variable_names=list(names)))
    except Exception as error:  # SciPy raises many kinds on broken files
        raise DataError(
            path, f"is not a MATLAB file of version 4 to 7.2 ({error or type(error).__name__}); {ADVICE}"
        ) from error


def _array(path: Path, held: dict[str, Any], name: str) -> np.ndarray:
    if name not in held:
        raise DataError(path, f"has no variable {name}; {ADVICE}")
    return np.asarray(held[name])


def _numbers(path: Path, held: dict[str, Any], name: str) -> np.ndarray:
    found = _array(path, held, name)
    if found.dtype.kind not in "fiu":
        raise DataError(path, f"{name} is not an array of numbers; {ADVICE}")
    return found


def _whole(path: Path, held: dict[str, Any], name: str) -> np.ndarray:
    found = _numbers(path, held, name).reshape(-1)
    if not np.isfinite(found).all() or (found != np.floor(found)).any() or (found.size and found.min() < 1):
        raise DataError(path, f"{name} holds numbers that are not whole or less than 1; {ADVICE}")
    return found.astype(np.int64)


def _places(path: Path, held: dict[str, Any], name: str) -> np.ndarray:
    found = np.sort(_whole(path, held, name)) - 1
    if name in NEEDED and not found.size:
        raise DataError(path, f"{name} is empty; {ADVICE}")
    if (np.diff(found) == 0).any():
        raise DataError(path, f"{name} holds {found[:-1][np.diff(found) == 0][0] + 1} twice; {ADVICE}")
    return found


def _strings(path: Path, held: dict[str, Any], name: str) -> list[str]:
    """Return a column of cells with a string in each."""
    found = _array(path, held, name).reshape(-1)
    texts = (
        [np.asarray(cell).reshape(-1) for cell in found]
        if found.dtype.kind == "O"
        else [found[[i]] for i in range(len(found))]
    )
    if not all(len(text) == 1 and text.dtype.kind == "U" and text[0].strip() for text in texts):
        raise DataError(path, f"{name} is not a column of names; {ADVICE}")
    return [str(text[0]).strip() for text in texts]
