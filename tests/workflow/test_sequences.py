"""A method of sequences through the whole workflow: videos, steps, TCaF, results, and scores of every second of a clip."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from avzsl.cli import main
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.streams import map_streams
from tests.workflow.conftest import ROOT, Run, write_config

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.timeout(900)]

SMALL = {
    "depth": 1, "heads": 2, "head_width": 8, "feed_forward_hidden": 16, "encoder_hidden": 16, "decoder_hidden": 16,
}  # fmt: skip


def test_from_videos_to_scores_of_every_second(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = yaml.safe_load((ROOT / "config/datasets/demo-order.yaml").read_text(encoding="utf-8"))
    order["catalog"]["world"] |= {"clips": 6, "max_seconds": 1.5}
    order |= {"features": "tiny", "methods": {"training": {"epochs": 2, "batches_per_epoch": 4, "batch_size": 16}}}
    write_config(tmp_path, "datasets/demo-order.yaml", order)
    write_config(tmp_path, "features/tiny.yaml", {"extractor": "tests.demo.random_networks"})
    write_config(
        tmp_path,
        "config.yaml",
        {
            "benchmarks": {"demo-order": {"dataset": "demo-order", "overrides": {"options": SMALL}}},
            "methods": ["tcaf"], "seeds": [0], "device": "cpu", "tracking": "none",
        },
    )  # fmt: skip
    run()
    results = tmp_path / "results"
    streams, header = map_streams(results / "demo-order/features/tiny/steps.safetensors")
    _, packed = read_arrays(results / "demo-order/features/tiny/packed.safetensors")
    assert header["clip_ids"] == packed["clip_ids"]
    then = [row for row, clip in enumerate(header["clip_ids"]) if " then " in clip]
    assert set(streams["audio"].lengths[then]) == {4}
    folder = results / "benchmarks/demo-order/runs/tcaf/seed-0"
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert record["method"] == "tcaf" and 0 <= record["hm"] <= 100
    table = pd.read_csv(results / "benchmark.csv")
    assert table["method"].tolist() == ["tcaf"]
    assert "tcaf" in (results / "report/index.html").read_text(encoding="utf-8")

    monkeypatch.chdir(tmp_path)
    clip = next((tmp_path / "data/demo-order/world/rain then bell").glob("*.mp4"))
    capsys.readouterr()
    labels = "bouncing ball bell, bouncing ball rain"
    assert main(["predict", str(clip), "--run", str(folder), "--labels", labels, "--json", "-"]) == 0
    [said] = json.loads(capsys.readouterr().out)["clips"]
    assert len(said["seconds"]) == 4
    assert said["seconds"][0] != said["seconds"][3]
