"""Released features train without a video, and clips they lack keep a row that says so."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from avzsl.contracts.schemas import BENCHMARK_CLIPS
from avzsl.contracts.tables import read_table
from tests.workflow.conftest import Run, write_config

WORDS = ("ball", "star", "ladder", "bell", "rain", "siren", "clock", "engine")


def test_train_on_published_features(tmp_path: Path, run: Run) -> None:
    rng = np.random.default_rng(0)
    for position, name in enumerate(WORDS):
        ids = [f"{name}/{number}.mp4" for number in range(6)]
        for clip_id in [*ids, f"{name}/lost.mp4"]:
            path = tmp_path / "videos" / clip_id
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        for modality in ("audio", "video"):
            path = tmp_path / "data/released/mine/features/main_features" / modality / "stage_1_train" / f"{name}.h5"
            path.parent.mkdir(parents=True, exist_ok=True)
            with h5py.File(path, "w") as file:
                file["data"] = np.eye(8, 512, dtype=np.float32)[position] * 3 + rng.random((6, 512), dtype=np.float32)
                file["video_urls"] = np.array(ids, dtype="S80")
    dataset = {
        "catalog": {"module": "folder", "root": "videos"},
        "embeddings": {"table": "demo"},
        "features": "selavi-released",
        "splits": {"default": {"val_unseen": 0.25, "test_unseen": 0.25, "test_seen": 0.3, "val_seen": 0.3}},
        "methods": {"training": {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16}},
    }
    write_config(tmp_path, "datasets/mine.yaml", dataset)
    write_config(tmp_path, "config.yaml", {"benchmarks": "mine", "methods": ["prototype"], "seeds": [0]})
    run()
    assert not (tmp_path / "results/mine/media").exists(), "nothing is fetched"
    clips = read_table(tmp_path / "results/benchmarks/mine/clips.parquet", BENCHMARK_CLIPS).set_index("clip_id")
    assert len(clips) == 8 * 7 and clips["usable"].sum() == 8 * 6
    assert "not among the features" in clips.loc["ball/lost.mp4", "reason"]
    table = pd.read_csv(tmp_path / "results/benchmark.csv")
    assert not table["random_weights"].any()
    assert (table["clips_used"].iloc[0], table["clips_listed"].iloc[0]) == (48, 56)
