"""A project of a handful of short videos with a stub extractor: the whole workflow in seconds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np

from tests.workflow.conftest import ROOT, environment, write_config

STUB = Path(__file__).parent / "stub"
# Words that the demo's embedding table knows.
CLASSES = ("bouncing ball bell", "bouncing ball rain", "sliding ladder bell", "sliding ladder rain",
           "growing star siren", "growing star engine", "bouncing ladder clock", "sliding star insect")  # fmt: skip


def small_environment() -> dict[str, str]:
    """Return the environment of jobs that find the stub extractor first."""
    values = environment()
    return {**values, "PYTHONPATH": f"{STUB}{os.pathsep}{values['PYTHONPATH']}"}


def write_video(path: Path) -> None:
    """Write a tenth of a second of picture and sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=25)
        picture.width = picture.height = 32
        picture.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=16_000)
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 10 * number % 255, np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        samples = np.random.default_rng(0).normal(0, 0.1, (1, 16_000)).astype(np.float32)
        wave = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        wave.sample_rate = 16_000
        container.mux(sound.encode(wave))
        container.mux(picture.encode())
        container.mux(sound.encode())


def add_clips(folder: Path, names: list[str], classes: tuple[str, ...] = CLASSES) -> None:
    """Put a clip of every name into every class of the project's folder of videos."""
    master = folder / "master.mp4"
    if not master.is_file():
        write_video(master)
    for class_name in classes:
        (folder / "videos" / class_name).mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copyfile(master, folder / "videos" / class_name / f"{name}.mp4")


def write_small(folder: Path, shards: int = 4, clips: int = 4, **config: object) -> None:
    """Write a project whose data set is a folder of videos."""
    add_clips(folder, [f"clip{number}" for number in range(clips)])
    dataset = {
        "catalog": {"module": "folder", "root": "videos"},
        "shards": shards,
        "features": "stub",
        "embeddings": {"table": "demo"},
        "splits": {"default": {"test_seen": 0.25, "val_seen": 0.25, "val_unseen": 0.25, "test_unseen": 0.25}},
        "methods": {"training": {"epochs": 1, "batches_per_epoch": 2, "batch_size": 16}},
    }
    write_config(folder, "datasets/small.yaml", dataset)
    write_config(folder, "features/stub.yaml", {"weights": {"random_seed": 0}})
    values = {"benchmarks": "small", "methods": ["avca"], "seeds": [0], "device": "cpu", **config}
    write_config(folder, "config.yaml", values)


def snakefile() -> str:
    return str(ROOT / "Snakefile")
