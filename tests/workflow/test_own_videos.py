"""A folder of one's own videos with everything that can be wrong in it runs to a report that counts it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from avzsl.config.demo import WorldConfig
from avzsl.contracts.schemas import BENCHMARK_CLASSES, BENCHMARK_CLIPS, MEDIA
from avzsl.contracts.tables import read_table
from avzsl.demo import render_world
from avzsl.demo.hostile import render_hostile
from tests.workflow.conftest import Run, write_config

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_hostile_folder(tmp_path: Path, run: Run) -> None:
    videos = tmp_path / "my videos"
    render_world(videos, WorldConfig(pictures=4, sounds=2, clips=2, max_seconds=1.2))
    (videos / "index.json").unlink()
    held = render_hostile(videos)
    dataset = {
        "catalog": {"module": "folder", "root": str(videos)},
        "embeddings": {"table": "demo"},
        "phrases": {
            "odd names": "ball",
            "first class": "star",
            "-second 'class'": "ladder",
            "only broken": "bell",
            "empty class": "rain",
        },
        "features": "reading",
        "splits": {
            "default": {
                "val_unseen": 0.25,
                "test_unseen": 0.25,
                "test_seen": 0.3,
                "val_seen": 0.3,
                "force": {"only broken": "train"},
            }
        },
        "methods": {"training": {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16}},
    }
    write_config(tmp_path, "datasets/mine.yaml", dataset)
    # Every file is decoded as for SeLaVi; what its networks would make of it is no matter here.
    write_config(tmp_path, "features/reading.yaml", {"extractor": "tests.extractors.plugin.reading"})
    write_config(tmp_path, "config.yaml", {"benchmarks": "mine", "methods": ["cjme"], "seeds": [0]})
    run("-n")
    run()

    media = read_table(next((tmp_path / "results/mine/media").glob("*.parquet")), MEDIA).set_index("clip_id")
    clips = read_table(tmp_path / "results/benchmarks/mine/clips.parquet", BENCHMARK_CLIPS).set_index("clip_id")
    assert len(clips) == len(media) == 16 + len(held), "every file has its row"
    assert set(media.loc[[name for name, what in held.items() if what == "whole"], "status"]) == {"ok"}
    assert media.loc["only broken/no audio.mp4", "status"] == "no_audio_stream"
    assert media.loc["only broken/no video.mp4", "status"] == "no_video_stream"
    assert media.loc["only broken/text.mp4", "status"] == media.loc["only broken/truncated.mp4", "status"] == "corrupt"
    lost = clips[~clips["usable"]]
    assert set(lost.index) == {name for name, what in held.items() if what != "whole"}
    assert lost["reason"].notna().all()
    assert lost.loc["only broken/too short.mp4", "status"] == "too_short"

    classes = read_table(tmp_path / "results/benchmarks/mine/classes.parquet", BENCHMARK_CLASSES).set_index(
        "class_name"
    )
    for name in ("only broken", "empty class"):
        assert classes.loc[name, "role"] == "excluded" and classes.loc[name, "reason"]
    page = (tmp_path / "results/report/index.html").read_text(encoding="utf-8")
    assert "no_audio_stream" in page and "only broken" in page
    assert len(pd.read_csv(tmp_path / "results/benchmark.csv")) == 1
    assert json.loads((tmp_path / "results/benchmarks/mine/runs/cjme/seed-0/run.json").read_text())["seed"] == 0


def test_an_unknown_word_names_class_and_word(tmp_path: Path, run: Run) -> None:
    (tmp_path / "videos/playing theremin").mkdir(parents=True)
    (tmp_path / "videos/playing theremin/a.mp4").write_bytes(b"")
    write_config(
        tmp_path,
        "datasets/mine.yaml",
        {"catalog": {"module": "folder", "root": "videos"}, "embeddings": {"table": "demo"}},
    )
    write_config(tmp_path, "config.yaml", {"benchmarks": "mine"})
    result = run("results/mine/embeddings.safetensors", check=False)
    assert result.returncode == 1
    output = result.stdout + result.stderr
    assert "playing theremin" in output and "theremin" in output and "Traceback" not in output
