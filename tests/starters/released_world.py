"""A small data set in the layout of the released archives, as a test's own."""

from __future__ import annotations

import csv
import io
import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np

from avzsl.benchmark.released_rows import class_lists

ROLES = {
    "stage_1_train": ("Archery", "BabyCrawling", "HandStandPushups"),
    "stage_1_val_unseen": ("ApplyLipstick", "CuttingInKitchen"),
    "stage_2_test_unseen": ("Bowling", "CricketShot"),
}
CLASSES = [name for names in ROLES.values() for name in names]
SHARES = {"stage_1_train": range(1, 7), "stage_1_val_seen": (7, 8), "stage_2_test_seen": (9, 10)}


def clip(name: str, number: int) -> str:
    return f"v_{name}_g{number:02d}_c01"


def roles_of(dataset: str) -> dict[str, tuple[str, ...]]:
    """Return the classes of each stage: of UCF those above, else the data set's first seven."""
    names = list(class_lists()[dataset])
    places = {"stage_1_train": slice(0, 3), "stage_1_val_unseen": slice(3, 5), "stage_2_test_unseen": slice(5, 7)}
    return ROLES if dataset == "ucf" else {stage: tuple(names[place]) for stage, place in places.items()}


def members(title: str = "UCF", cls: bool = True, dataset: str = "ucf", steps: str = "") -> dict[str, bytes]:
    """Return the files of an archive by name: lists, averages (of every stage), word vectors and a cache.

    `steps`, a folder such as cls_features_non_averaged, holds steps in the place of averages.
    """
    rng = np.random.default_rng(0)
    # All classes of the data set, most of which take no part, spelled as the released table spells them.
    phrases, roles = class_lists()[dataset], roles_of(dataset)
    taking_part = [name for names in roles.values() for name in names]
    vectors = {phrase: rng.standard_normal(300).astype(np.float32) for phrase in phrases.values()}
    values = {
        clip(name, n): np.eye(512, dtype=np.float32)[place] * 3 + rng.random(512, dtype=np.float32)
        for place, name in enumerate(taking_part)
        for n in range(1, 11)
    }
    lists = {stage: {n: [clip(n, k) for k in share] for n in roles["stage_1_train"]} for stage, share in SHARES.items()}
    lists |= {
        stage: {n: [clip(n, k) for k in range(1, 11)] for n in roles[stage]}
        for stage in ("stage_1_val_unseen", "stage_2_test_unseen")
    }
    lists["stage_2_train"] = {
        name: clips for stage in ("stage_1_val_unseen", "stage_1_train") for name, clips in lists[stage].items()
    }
    for name, clips in lists["stage_1_val_seen"].items():
        lists["stage_2_train"][name] = lists["stage_2_train"][name] + clips
    files = {f"{title}/class-split/all_class.txt": "\n".join(phrases).encode()}
    for stage, classes in lists.items():
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["filename", "label", "label_code"])
        writer.writerows([c, name, taking_part.index(name)] for name, clips in classes.items() for c in clips)
        for variant in ("main", "cls"):
            base = f"{title}/class-split/{variant}_split/{stage}"
            files[f"{base}.csv"] = text.getvalue().encode()
            files[f"{base}.txt"] = "\n".join(classes).encode()
        for name, clips in classes.items() if steps else ():
            for modality, count in (("audio", 2), ("video", 3)):
                content = {
                    "features": [np.stack([values[c]] * count) for c in clips],
                    "video_names": np.array(clips, dtype="S80"),
                    "fps": [25] * len(clips),
                }
                files[f"{title}/features/{steps}/{modality}/{stage}/{name}.pkl"] = pickle.dumps(content)
        for kind in () if steps else ("main_features", "cls_features")[: 1 + cls]:
            for name, clips in classes.items():
                stream = io.BytesIO()
                with h5py.File(stream, "w") as file:
                    file["data"] = np.stack([values[c] for c in clips])
                    file["video_urls"] = np.array(clips, dtype="S80")
                for modality in ("audio", "video"):
                    files[f"{title}/features/{kind}/{modality}/{stage}/{name}.h5"] = stream.getvalue()
    files[f"{title}/_features_processed/main_features/trainingmain_split.pkl"] = b"what the released code caches"
    stream = io.BytesIO()
    np.save(stream, np.array(vectors, dtype=object), allow_pickle=True)
    files[
        f"{title}/features/{steps or 'main_features'}/text/word_embeddings_{dataset.removesuffix('net')}_normed.npy"
    ] = stream.getvalue()
    return files


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
