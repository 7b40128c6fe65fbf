"""Several people on one file system: what one project made, another takes."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.workflow.conftest import write_config
from tests.workflow.small import write_small
from tests.workflow.test_change_control import snakemake


def test_a_second_project_of_the_same_clips_extracts_nothing(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for person in ("one", "two"):
        folder = tmp_path / person
        write_small(folder, shards=2, cache=str(shared))
        snakemake(folder, "features")
    logs = sorted((tmp_path / "two/logs/small/features/stub").glob("*.log"))
    assert len([log for log in logs if "taken from the shared cache" in log.read_text(encoding="utf-8")]) == 2
    for name in ("0000.safetensors", "0000.parquet", "0001.safetensors"):
        place = f"results/small/features/stub/shards/{name}"
        assert (tmp_path / "one" / place).read_bytes() == (tmp_path / "two" / place).read_bytes()


def test_media_in_a_shared_data_folder_are_fetched_once(tmp_path: Path) -> None:
    """The lists of fetched media are shared where the media are."""
    data = tmp_path / "media"
    for person in ("one", "two"):
        folder = tmp_path / person
        write_small(folder, shards=2, cache=str(tmp_path / "cache"), data=str(data))
        path = folder / "config/datasets/small.yaml"
        dataset = yaml.safe_load(path.read_text(encoding="utf-8"))
        # The same videos for both, copied to where the data are.
        dataset["sources"] = [{"kind": "folder", "root": str(tmp_path / "one/videos"), "in_place": False}]
        write_config(folder, "datasets/small.yaml", dataset)
        snakemake(folder, "results/small/media/0000.parquet", "results/small/media/0001.parquet")
    log = (tmp_path / "two/logs/small/media/0000.log").read_text(encoding="utf-8")
    assert "taken from the shared cache" in log
    one, two = (tmp_path / p / "results/small/media/0000.parquet" for p in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
