"""Features on disk and a CSV: `avzsl new --features`, then the whole workflow, without a video."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from avzsl.cli import main
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.schemas import BENCHMARK_CLIPS
from avzsl.contracts.tables import read_table
from tests.workflow.conftest import Run, write_config

WORDS = ("ball", "star", "ladder", "bell", "rain", "siren", "clock", "engine")


def test_features_of_ones_own(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    folder = tmp_path / "my features"
    clips = [(f"{word}/{number}", word) for word in WORDS for number in range(6)]
    for position, (clip_id, word) in enumerate(clips):
        for modality, dim in (("audio", 10), ("visual", 12)):
            path = folder / modality / f"{clip_id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            steps = 3 * np.eye(dim)[WORDS.index(word)] + rng.random((1 + position % 5, dim))
            np.save(path, steps.astype(np.float32))
    listed = [*clips, ("ball/lost", "ball")]
    pd.DataFrame(listed, columns=["clip_id", "class_name"]).to_csv(folder / "clips.csv", index=False)

    assert main(["new", "mine", "--features", str(folder), "--embeddings", "demo"]) == 0
    said = capsys.readouterr().out
    assert "49 clips of 8 classes: 48 ok, 1 no_media" in said and "minutes on" in said
    assert "'ball/lost': no_media: there is no audio/ball/lost.npy and no ball/lost.npz" in said
    assert main(["new", "mine", "--features", str(folder)]) == 1  # nothing is overwritten
    assert main(["new", "other", "--features", str(folder)]) == 0
    other = DatasetConfig.model_validate(yaml.safe_load(Path("config/datasets/other.yaml").read_text()))
    assert (other.embeddings.backend, dict(other.methods.training)["clip_passes"]) == ("sentences", 10)
    pd.DataFrame(clips[:6], columns=["clip_id", "class_name"]).to_csv(folder / "clips.csv", index=False)
    assert main(["new", "few", "--features", str(folder)]) == 1 and not Path("config/datasets/few.yaml").exists()
    assert "names 1 classes; a benchmark needs 4" in capsys.readouterr().err
    pd.DataFrame(listed, columns=["clip_id", "class_name"]).to_csv(folder / "clips.csv", index=False)
    write_config(
        tmp_path,
        "config.yaml",
        {
            "benchmarks": {
                "mine": {
                    "dataset": "mine",
                    "overrides": {"training": {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16}},
                }
            },
            "methods": ["prototype"],
            "seeds": [0],
        },
    )
    run()
    assert not (tmp_path / "results/mine/media").exists(), "nothing is fetched"
    table = read_table(tmp_path / "results/benchmarks/mine/clips.parquet", BENCHMARK_CLIPS).set_index("clip_id")
    assert len(table) == 49
    assert table["usable"].sum() == 48
    assert table.loc["ball/lost", "stage"] == "features"
    assert not (tmp_path / "results/mine/features/mine/steps.safetensors").exists(), "averages need no steps"

    # What a file holds decides, not its time.
    one, planned = folder / "audio" / "ball" / "0.npy", "rule import_features:"
    before, facts = one.read_bytes(), one.stat()
    os.utime(one)
    again = run("-n")
    assert "Nothing to be done" in again.stdout + again.stderr
    one.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    os.utime(one, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    result = run("-n")
    assert planned in result.stdout + result.stderr
    assert "has changed since" in result.stderr
