"""The subsets of att_splits.mat as lists of the five subsets of a benchmark."""

from __future__ import annotations

import hashlib
from pathlib import Path

from avzsl.contracts.errors import DataError
from avzsl.pretrained.xlsa17 import SPLITS, check_together, read_classes, read_images
from splits.lists import Lists

# Where the file names no classes to validate on; and of each training class, the images for validation.
SHARE = 5


def image_lists(folder: Path) -> Lists:
    """Return the lists of a data set's folder.

    The images of trainval_loc are trained on. Those of the classes of val_loc are val_unseen; without one, of every fifth
    class. Of each other class a fifth are val_seen, which the published split has none of. What is drawn is drawn by hash
    of the name. Raises DataError.
    """
    classes, images = read_classes(folder), read_images(folder)
    check_together(folder, classes, images)
    places = classes.places
    labels = images.labels
    known = sorted(set(labels[places["trainval_loc"]].tolist()))
    if "val_loc" in places and places["val_loc"].size:
        held_out = set(labels[places["val_loc"]].tolist()) & set(known)
        both = held_out & set(labels[places["train_loc"]].tolist() if "train_loc" in places else ())
        if both:
            raise DataError(folder / SPLITS, f"has images of {classes.names[min(both)]!r} in train_loc and in val_loc")
    else:
        held_out = set(sorted(known, key=lambda i: _drawn(classes.names[i]))[: max(1, len(known) // SHARE)])
    if not held_out or len(held_out) == len(known):
        raise DataError(
            folder / SPLITS, "leaves no class to train on, or none to validate on; give val_loc some of the classes"
        )
    lists = Lists(
        str(folder / SPLITS), {name: {} for name in ("train", "val_seen", "val_unseen", "test_seen", "test_unseen")}
    )
    for label in known:
        own = sorted((images.ids[i] for i in places["trainval_loc"] if labels[i] == label), key=_drawn)
        validating = len(own) // SHARE
        for number, clip_id in enumerate(own):
            subset = "val_unseen" if label in held_out else "val_seen" if number < validating else "train"
            lists.clips[subset][clip_id] = classes.names[label]
    for subset in ("test_seen", "test_unseen"):
        lists.clips[subset] = {images.ids[i]: classes.names[labels[i]] for i in places[f"{subset}_loc"]}
    roles = {
        "train": set(known) - held_out,
        "val_unseen": held_out,
        "test_unseen": set(labels[places["test_unseen_loc"]].tolist()),
    }
    lists.classes = {role: [classes.names[i] for i in sorted(found)] for role, found in roles.items()}
    return lists


def _drawn(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
