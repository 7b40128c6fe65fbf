"""Released features train without a video, and clips they lack keep a row that says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from avzsl.contracts.schemas import BENCHMARK_CLIPS
from avzsl.contracts.tables import read_table
from tests.starters.released_world import members, zipped
from tests.workflow.conftest import ROOT, Run, environment, write_config

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


@pytest.mark.slow
def test_the_archive_itself_gives_the_table_with_published_numbers(tmp_path: Path, run: Run) -> None:
    archive = zipped(tmp_path / "UCF.zip", members())
    new = [sys.executable, "-m", "avzsl", "new", "ucf", "--released", str(archive)]
    subprocess.run(new, cwd=tmp_path, env=environment(), check=True, timeout=120)
    shorten(tmp_path / "config")
    run()
    table = pd.read_csv(tmp_path / "results/benchmark.csv")
    assert len(table) == 8 and not table["random_weights"].any()
    assert (table["clips_used"] == 70).all()
    assert table["hm_published"].notna().sum() >= 4
    assert set(table["preset"]) == {"corrected", "as_released"}
    assert not (tmp_path / "data").exists(), "nothing is downloaded"


@pytest.mark.slow
def test_the_archive_of_temporal_features_is_trained_on_by_tcaf(tmp_path: Path, run: Run) -> None:
    archive = zipped(tmp_path / "ucf-supervised-temporal.zip", members(steps="cls_features_non_averaged"))
    new = [sys.executable, "-m", "avzsl", "new", "ucf", "--released", str(archive)]
    subprocess.run(new, cwd=tmp_path, env=environment(), check=True, timeout=120)
    path = tmp_path / "config/datasets/ucf-released.yaml"
    path.write_text(path.read_text() + "methods: {training: {epochs: 1, batches_per_epoch: 2, batch_size: 16}}\n")
    run("--config", "seeds=[0]")
    table = pd.read_csv(tmp_path / "results/benchmark.csv")
    assert set(table["method"]) == {"tcaf", "avca"} and set(table["preset"]) == {"corrected", "as_released"}
    assert table["hm_published"].notna().all() and table["hm_mean"].notna().all()


@pytest.mark.slow
def test_the_three_data_sets_are_one_run_under_both_presets(tmp_path: Path, run: Run) -> None:
    for name, title in (("ucf", "UCF"), ("vggsound", "VGGSound"), ("activitynet", "ActivityNet")):
        archive = zipped(tmp_path / f"{title}.zip", members(title, cls=False, dataset=name))
        new = [sys.executable, "-m", "avzsl", "new", name, "--released", str(archive)]
        subprocess.run(new, cwd=tmp_path, env=environment(), check=True, timeout=120)
        path = tmp_path / f"config/datasets/{name}-released.yaml"
        path.write_text(path.read_text() + "methods: {training: {epochs: 1, batches_per_epoch: 2, batch_size: 16}}\n")
    shutil.copy(ROOT / "config/published.yaml", tmp_path / "config")
    run("-n", "--configfile", "config/published.yaml")
    run("--configfile", "config/published.yaml", "--config", "methods=[ale]", "seeds=[0]")
    table = pd.read_csv(tmp_path / "results/benchmark.csv")
    assert len(table) == 6 and set(table["preset"]) == {"corrected", "as_released"}
    assert table["hm_published"].notna().all() and table["hm_mean"].notna().all()
    assert not (tmp_path / "data").exists(), "nothing is downloaded"


def shorten(config: Path) -> None:
    """Cut the project's training short."""
    path = config / "datasets/ucf-released.yaml"
    training = "methods: {training: {epochs: 2, batches_per_epoch: 2, batch_size: 16}}\n"
    path.write_text(path.read_text() + training, encoding="utf-8")
    path = config / "config.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("methods:", "seeds:"))]
    path.write_text("\n".join([*lines, "methods: [ale, avca]", "seeds: [0]"]), encoding="utf-8")
