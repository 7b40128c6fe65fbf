"""Acquisition inside the workflow: features only, and a retry that redoes only what changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from avzsl.contracts.schemas import MEDIA
from avzsl.contracts.tables import read_table
from tests.workflow.small import write_small
from tests.workflow.test_change_control import jobs, snakemake

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture
def lean(tmp_path: Path) -> Path:
    """A small project that copies its videos and keeps features only."""
    write_small(tmp_path, shards=2)
    path = tmp_path / "config/datasets/small.yaml"
    dataset = yaml.safe_load(path.read_text())
    dataset["sources"] = [{"kind": "folder", "root": str(tmp_path / "videos"), "in_place": False}]
    dataset["media"] = {"keep": "features"}
    path.write_text(yaml.safe_dump(dataset))
    return tmp_path


def media(folder: Path) -> list[Path]:
    return [path for path in (folder / "data").rglob("*.mp4")]


def test_media_go_after_extraction_and_come_back_when_features_change(lean: Path) -> None:
    said = jobs(snakemake(lean, "features"))
    assert said["media"] == said["extract"] == 2
    assert media(lean) == []
    table = read_table(lean / "results/small/media/0000.parquet", MEDIA)
    assert set(table["status"]) == {"ok"}
    assert jobs(snakemake(lean, "features")) == {}  # nothing is fetched again for its own sake
    path = lean / "config/features/stub.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"windows": "as_released"}))
    said = jobs(snakemake(lean, "features"))
    assert said["extract"] == 2 and "media" not in said
    features = list((lean / "results/small/features").rglob("0000.parquet"))
    assert len(features) == 1 and media(lean) == []


def test_what_may_still_come_keeps_its_shard(lean: Path) -> None:
    """A clip that vanished after it was listed is missing, not gone: its shard's media stay until it is settled."""
    said = snakemake(lean, "splits")
    assert "What the audits found" in said and "small/default" in said and "checks passed; every row:" in said
    gone = next((lean / "videos").rglob("*.mp4"))
    kept = gone.read_bytes()
    gone.unlink()
    snakemake(lean, "results/small/media/0000.parquet", "results/small/media/0001.parquet", "--rerun-triggers", "input")
    tables = {name: read_table(lean / f"results/small/media/{name}.parquet", MEDIA) for name in ("0000", "0001")}
    open_shard = next(name for name, table in tables.items() if "missing" in set(table["status"]))
    assert sum((table["status"] != "ok").sum() for table in tables.values()) == 1
    gone.write_bytes(kept)
    shutil.rmtree(lean / "data")  # what was fetched can be fetched again
    from avzsl.acquisition.retry import retry
    from avzsl.config.load import load_project
    from avzsl.results.places import Places

    project = load_project(lean / "config/config.yaml")
    done = retry(Places(lean / "results", lean / "data"), "small", project.dataset("small"))
    assert (done.shards, done.asked, done.won) == (1, 1, 1)
    assert set(read_table(lean / f"results/small/media/{open_shard}.parquet", MEDIA)["status"]) == {"ok"}
