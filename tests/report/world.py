"""A small results folder with the files of every earlier stage, written through the contracts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pandas as pd
import yaml

from avzsl.config.load import Project, load_project
from avzsl.contracts.arrays import write_arrays
from avzsl.contracts.atomic import write_json
from avzsl.contracts.schemas import (
    BENCHMARK_CLASSES,
    BENCHMARK_CLIPS,
    CLASSES,
    CLIPS,
    FEATURES,
    HISTORY,
    MEDIA,
    PREDICTIONS,
    SPLIT,
    SPLIT_CLASSES,
)
from avzsl.contracts.tables import write_table

HOSTILE = "<script>alert(1)</script>"
CLIPS_PER_CLASS = 12
ROLES = ("train", "train", "train", "train", "val_unseen", "val_unseen", "test_unseen", "test_unseen", "test_unseen")


@dataclass
class World:
    """Where the fixture's files are, and the project that names them."""

    root: Path
    project: Project

    @property
    def results(self) -> Path:
        return self.root / "results"


def make_world(
    root: Path,
    seed: int = 0,
    media: bool = False,
    random_weights: bool = True,
    times: int = 1,
    per_class: int = CLIPS_PER_CLASS,
) -> World:
    """Write config, catalogue, media manifest, features, split, two benchmarks and their runs below `root`.

    There are 9 x `times` classes of `per_class` clips.
    """
    project = _write_config(root)
    generator = np.random.default_rng(seed)
    motions = [f"{m}{'' if i == 0 else f' {i}'}" for m in ("spinning", "bouncing", "rising") for i in range(times)]
    classes = [f"{m} {o}" for m, o in itertools.product(motions, ("drum", "bell", "flute"))]
    roles_in_order = tuple(role for role in ROLES for _ in range(times))
    classes[0], classes[6] = HOSTILE, 'a "quoted" & odd</script> name'
    clips = pd.DataFrame(
        {
            "clip_id": [f"-{c}/{i:02d}" for c in range(len(classes)) for i in range(per_class)],
            "dataset": "toy",
            "class_name": np.repeat(classes, per_class),
            "source_id": [f"source {c} {i // 2}" for c in range(len(classes)) for i in range(per_class)],
            "shard": 0,
            "path": [f"{c}/{i}.mp4" for c in range(len(classes)) for i in range(per_class)],
            "category": np.repeat([["shapes", "things", "others"][c % 3] for c in range(len(classes))], per_class),
            "licence": "CC0-1.0",
        }
    )
    base = root / "results" / "toy"
    write_table(base / "catalog" / "clips.parquet", clips, CLIPS)
    table = pd.DataFrame({"class_name": classes, "dataset": "toy", "phrase": classes, "clips": per_class})
    write_table(base / "catalog" / "classes.parquet", table, CLASSES)
    write_json(base / "catalog" / "catalog.json", {"notes": []})

    rows = np.arange(len(clips))
    media_status = np.where(rows % 17 == 3, "corrupt", np.where(rows % 23 == 5, "removed", "ok"))
    paths = [_media_file(root, index, media) if media_status[index] == "ok" else None for index in rows]
    write_table(
        base / "media" / "0000.parquet",
        pd.DataFrame(
            {
                "clip_id": clips["clip_id"], "shard": 0, "status": media_status, "permanent": media_status != "ok",
                "attempts": 1, "error": np.where(media_status == "ok", None, "no decoder reads it"), "path": paths,
                "duration_s": np.where(media_status == "ok", 2.0, np.nan),
            }
        ),
        MEDIA,
    )  # fmt: skip
    feature_status = np.where(media_status != "ok", "no_media", np.where(rows % 29 == 7, "no_audio_stream", "ok"))
    usable = feature_status == "ok"
    pack_row = np.where(usable, np.cumsum(usable) - 1, -1)
    write_table(
        base / "features" / "random" / "packed.parquet",
        pd.DataFrame(
            {
                "clip_id": clips["clip_id"],
                "shard": 0,
                "status": feature_status,
                "row": pack_row,
                "audio_steps": 2 * usable,
                "visual_steps": 2 * usable,
            }
        ),
        FEATURES,
    )
    number = np.repeat(np.arange(len(classes)), per_class)
    centres = generator.normal(size=(len(classes), 16))
    arrays = {
        name: (centres[number] + generator.normal(size=(len(clips), 16)))[usable].astype(np.float32)
        for name in ("audio", "visual")
    }
    header = {"clip_ids": list(clips["clip_id"][usable]), "extractor": {}, "versions": {"av": "18.1.0"}}
    write_arrays(base / "features" / "random" / "packed.safetensors", arrays, header)

    roles = dict(zip(classes, roles_in_order, strict=True))
    in_class = rows % per_class
    subset = [
        roles[c] if roles[c] == "test_unseen" else "test_seen" if i in (0, 1) else
        "val_unseen" if roles[c] == "val_unseen" else "val_seen" if i == 2 else "train"
        for c, i in zip(clips["class_name"], in_class, strict=True)
    ]  # fmt: skip
    split = base / "splits" / "default"
    write_table(
        split / "split.parquet",
        clips[["clip_id", "class_name"]].assign(subset=subset, reason=None),
        SPLIT,
    )
    write_table(
        split / "classes.parquet",
        pd.DataFrame(
            {
                "class_name": classes,
                "role": roles_in_order,
                "reason": ["drawn"] * (6 * times) + ["overlap: kinetics400"] * (3 * times),
            }
        ),
        SPLIT_CLASSES,
    )
    write_json(split / "audit.json", _audit(clips))
    for name in ("toy", "toy-released"):
        _write_benchmark(root, project, name, clips, classes, subset, usable, pack_row, media_status, feature_status, arrays, generator, random_weights, roles)  # fmt: skip
    return World(root, project)


def _write_config(root: Path) -> Project:
    config = root / "config"
    files = {
        "config.yaml": {
            "benchmarks": {
                "toy": {"dataset": "toy"},
                "toy-released": {"dataset": "toy", "preset": "as_released"},
            },
            "methods": ["avca", "cjme"], "seeds": [0, 1, 2], "results": str(root / "results"), "data": str(root / "data"),
        },
        "datasets/toy.yaml": {
            "title": "A toy & its <b>title</b>", "licence": "CC0-1.0", "catalog": {"module": "folder", "root": str(root / "videos")},
            "features": "random", "embeddings": {"table": "demo"},
        },
        "features/random.yaml": {"title": "random", "weights": {"random_seed": 0}},
    }  # fmt: skip
    for method in ("avca", "cjme"):
        files[f"methods/{method}.yaml"] = {"title": method.upper(), "module": method, "source": "a paper"}
    for name, content in files.items():
        path = config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_project(config / "config.yaml")


def _audit(clips: pd.DataFrame) -> dict[str, object]:
    pair = list(clips["clip_id"][:2])
    return {
        "counts": {"train": 40, "val_seen": 6, "val_unseen": 24, "test_seen": 8, "test_unseen": 36, "excluded": 0},
        "checks": [
            {
                "name": "class_disjointness", "title": "unseen test classes with clips in training",
                "count": 0, "total": 3, "examples": [], "note": "", "limit": 0, "share": 0.0, "passed": True,
            },
            {
                "name": "test_seen_source", "title": "test-seen clips that share their source with a clip trained on",
                "count": 2, "total": 8, "examples": pair, "note": f"one is of class {HOSTILE}", "limit": None,
                "share": 0.25, "passed": True,
            },
            {
                "name": "overlap_sports1m", "title": "unseen classes that overlap with sports1m",
                "count": None, "total": 6, "examples": [], "note": "not checked: no network", "limit": None,
                "share": None, "passed": True,
            },
        ],
        "overlap": [],
        "notes": ["a note"],
    }  # fmt: skip


def _write_benchmark(
    root,
    project,
    name,
    clips,
    classes,
    subset,
    usable,
    pack_row,
    media_status,
    feature_status,
    arrays,
    generator,
    random_weights,
    roles,
):
    folder = root / "results" / "benchmarks" / name
    listed = clips[["clip_id", "class_name"]].assign(
        subset=subset, usable=usable, row=pack_row,
        stage=np.where(usable, None, np.where(media_status != "ok", "media", "features")),
        status=np.where(usable, None, np.where(media_status != "ok", media_status, feature_status)),
        reason=np.where(usable, None, "no decoder reads it"),
    )  # fmt: skip
    write_table(folder / "clips.parquet", listed, BENCHMARK_CLIPS)
    counts = listed.groupby("class_name")["usable"].agg(["size", "sum"])
    write_table(
        folder / "classes.parquet",
        pd.DataFrame(
            {
                "class_name": classes, "role": [roles[c] for c in classes], "listed": [int(counts["size"][c]) for c in classes],
                "usable": [int(counts["sum"][c]) for c in classes],
            }
        ),
        BENCHMARK_CLASSES,
    )  # fmt: skip
    extractor = {
        "name": "selavi", "windows": "uniform", "weights": {"random_seed": 0, "sha256": "ab" * 32},
        "random_weights": random_weights, "execution": "fused",
    }  # fmt: skip
    write_json(
        folder / "benchmark.json",
        {
            "name": name, "hashes": {"split": "cd" * 32}, "extractor": extractor,
            "embeddings": {"backend": "table", "table": "demo"},
            "chance": {**dict.fromkeys(("seen", "unseen", "hm"), 100 / len(roles)), "zsl": 300 / len(roles)},
        },
    )  # fmt: skip
    tested = listed[listed["usable"] & listed["subset"].isin(["test_seen", "test_unseen"])]
    truth = np.array([classes.index(c) for c in tested["class_name"]])
    seen = np.array([role != "test_unseen" for role in roles.values()])
    packed = tested["row"].to_numpy()
    for method, sharp in (("avca", 2.2), ("cjme", 1.0)):
        for seed in (0, 1, 2):
            centres = generator.normal(size=(len(classes), 8))
            learnt = centres[truth] * sharp + generator.normal(size=(len(truth), 8)) * 2
            distances = np.linalg.norm(learnt[:, None] - centres[None] * sharp, axis=2) - 0.5 * seen
            write_run(
                folder / "runs" / method / f"seed-{seed}", name, method, seed, tested, classes, seen, distances, 0.4,
                {"audio": learnt, "visual": learnt + arrays["visual"][packed][:, :8] / 4, "classes": centres * sharp},
            )  # fmt: skip


def write_run(folder, benchmark, method, seed, tested, classes, seen, distances, beta, learnt):
    """Write one run's files from its distances."""
    predicted = np.array(classes)[(distances + beta * seen).argmin(axis=1)]
    unseen_ids = np.flatnonzero(~seen)
    only = np.array(classes)[unseen_ids[distances[:, unseen_ids].argmin(axis=1)]]
    is_unseen = (tested["subset"] == "test_unseen").to_numpy()
    write_table(
        folder / "predictions.parquet",
        tested[["clip_id", "class_name", "subset"]].assign(
            predicted=predicted, predicted_zsl=np.where(is_unseen, only, None)
        ),
        PREDICTIONS,
    )
    write_arrays(
        folder / "scores.safetensors",
        {"distances": distances.astype(np.float32)} | {k: v.astype(np.float32) for k, v in learnt.items()},
        {"clip_ids": list(tested["clip_id"]), "class_names": list(classes), "seen": [int(s) for s in seen]},
    )
    epochs = pd.DataFrame({"stage": [1] * 8 + [2] * 8, "epoch": list(range(1, 9)) * 2})
    epochs = epochs.assign(
        lr=1e-3, loss=3 / epochs["epoch"] + seed / 10, seconds=0.5, seen=0.1 * epochs["epoch"].clip(upper=6),
        unseen=0.05 * epochs["epoch"], hm=0.06 * epochs["epoch"].clip(upper=5), zsl=0.07 * epochs["epoch"], beta=beta,
        selected=epochs["epoch"] == 5,
    )  # fmt: skip
    write_table(folder / "history.parquet", epochs, HISTORY)
    write_json(
        folder / "run.json",
        {"benchmark": benchmark, "method": method, "seed": seed, "beta": beta, "epoch": 5, "seconds": 8.0 + seed,
         "versions": {"torch": "2.14.1"}, "options": {"margin": 1.0}},
    )  # fmt: skip


def _media_file(root: Path, index: int, really: bool) -> str:
    path = root / "data" / "toy" / "media" / "0000" / f"clip {index} '&.mp4"
    if really:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, index)
    return str(path)


def write_clip(path: Path, number: int, seconds: float = 2.0) -> None:
    """Write a small H.264 + AAC file: a moving block and a tone, both told by `number`."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 96, 72, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for i in range(int(seconds * 10)):
            picture = np.full((72, 96, 3), 40 + 20 * (number % 8), dtype=np.uint8)
            picture[20:50, 3 * i : 3 * i + 20] = (230, 120, 25 * (number % 9))
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode())
        times = np.arange(int(seconds * 16_000)) / 16_000
        tone = (8000 * np.sin(2 * np.pi * (200 + 40 * (number % 20)) * times)).astype(np.int16)
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], "s16", "mono")
            frame.sample_rate, frame.pts = 16_000, start
            container.mux(audio.encode(frame))
        container.mux(audio.encode())
