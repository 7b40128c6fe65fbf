"""Only the work that is needed: shards of several machines, interim results, test clips first, and one more split."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from avzsl.contracts.hashing import sha256_file
from tests.workflow.small import CLASSES, small_environment, write_small
from tests.workflow.test_change_control import jobs, snakemake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RESULTS = Path("results/small")


def avzsl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "avzsl", *arguments],
        cwd=folder, env=small_environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def shards_of(said: str, rule: str) -> list[str]:
    """Return the shards of a rule's jobs in the order in which they began."""
    return re.findall(rf"^(?:local)?rule {rule}:\n(?:    .*\n)*?    wildcards: .*shard=(\d+)", said, flags=re.MULTILINE)


def edit(folder: Path, name: str, **values: object) -> None:
    path = folder / "config" / name
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **values}), encoding="utf-8")


def table(folder: Path) -> str:
    return (folder / "results/benchmark.csv").read_text(encoding="utf-8")


def test_machines_without_a_shared_disk_make_one_benchmark(tmp_path: Path) -> None:
    here = tmp_path / "here"
    write_small(here, shards=4)
    one, half, other = (shutil.copytree(here, tmp_path / name) for name in ("one", "half", "other"))
    edit(one, "config.yaml", only_shards="0-1")
    snakemake(one)
    edit(half, "config.yaml", only_shards="2-3")
    # It was stopped: the media of both shards are there, the features of one.
    snakemake(half, str(RESULTS / "media/0003.parquet"), str(RESULTS / "features/stub/shards/0002.parquet"))
    edit(other, "config.yaml", only_shards="3-3")
    edit(other, "features/stub.yaml", weights={"random_seed": 1})
    snakemake(other)

    snakemake(here, str(RESULTS / "catalog/used.json"))
    folders = [str(folder / "results") for folder in (one, half, other)]
    refused = avzsl(here, "gather", *folders)
    assert refused.returncode == 1
    assert (
        "other/results/project.json" in refused.stderr
        and "weights" in refused.stderr
        and refused.stderr.count("\n") == 1
    )
    assert not (here / RESULTS / "features").exists()

    gathered = avzsl(here, "gather", *folders[:2])
    assert gathered.returncode == 0, gathered.stderr
    assert "1 are not finished there" in gathered.stdout and "missing: 0003" in gathered.stdout
    before = {path: sha256_file(path) for path in (here / RESULTS / "features/stub/shards").iterdir()}
    assert len(before) == 6
    did = snakemake(here)
    assert shards_of(did, "media") == shards_of(did, "extract") == ["0003"], "the others are as if they were made here"
    assert all(sha256_file(path) == known for path, known in before.items())
    assert sum(jobs(snakemake(here, "-n")).values()) == 0

    # As if one machine had done it all.
    alone = tmp_path / "alone"
    write_small(alone, shards=4)
    snakemake(alone, "results")
    seconds = r",[^,\n]*$"  # the last column is how long runs took
    assert re.sub(seconds, "", table(here), flags=re.MULTILINE) == re.sub(seconds, "", table(alone), flags=re.MULTILINE)


def test_test_clips_come_first_and_can_be_scored_before_the_rest(tmp_path: Path) -> None:
    write_small(tmp_path, shards=2, clips=8)
    edit(tmp_path, "datasets/small.yaml", media={"order": "test_first"})
    did = snakemake(tmp_path, "--cores", "1", "all_media")
    assert sorted(shards_of(did, "media")[:2]) == ["0000", "0001"], "the shards of test clips"
    assert sorted(shards_of(did, "media")[2:]) == ["0002", "0003"]

    # A partial rebuild has the test clips and some of those that are trained on.
    shards = RESULTS / "features/stub/shards"
    snakemake(tmp_path, *(str(shards / f"{number:04d}.parquet") for number in (0, 1, 2)))
    did = snakemake(tmp_path, "--config", "interim=true")
    assert jobs(did)["extract"] == 0
    assert json.loads((tmp_path / "results/benchmarks/small/benchmark.json").read_text(encoding="utf-8"))[
        "interim"
    ] == [3, 4]
    assert "3 of 4" in table(tmp_path)
    page = (tmp_path / "results/report/index.html").read_text(encoding="utf-8")
    assert "3 of 4" in page and "interim" in page.lower()

    did = snakemake(tmp_path)
    assert shards_of(did, "extract") == ["0003"]
    assert "3 of 4" not in table(tmp_path)
    assert (
        json.loads((tmp_path / "results/benchmarks/small/benchmark.json").read_text(encoding="utf-8"))["interim"]
        is None
    )


def test_another_split_fetches_its_own_clips_alone(tmp_path: Path) -> None:
    write_small(tmp_path, shards=12)
    shares = {"test_seen": 0.25, "val_seen": 0.25, "val_unseen": 0.25, "test_unseen": 0.25}
    splits = {"default": {**shares, "force": {CLASSES[0]: "excluded"}}, "whole": shares}
    edit(tmp_path, "datasets/small.yaml", splits=splits)
    snakemake(tmp_path, "features")
    media = {path.name: pd.read_parquet(path) for path in sorted((tmp_path / RESULTS / "media").glob("*.parquet"))}
    assert sum(map(len, media.values())) == 4 * (len(CLASSES) - 1)
    used = json.loads((tmp_path / RESULTS / "catalog/used.json").read_text(encoding="utf-8"))
    assert (used["used"], used["listed"]) == (28, 32)

    kept = {
        path: (sha256_file(path), path.stat().st_mtime_ns)
        for path in (tmp_path / RESULTS / "features/stub/shards").iterdir()
    }
    both = {"small": {"dataset": "small", "split": "default"}, "whole": {"dataset": "small", "split": "whole"}}
    edit(tmp_path, "config.yaml", benchmarks=both)
    did = snakemake(tmp_path, "features")
    after = {path.name: pd.read_parquet(path) for path in sorted((tmp_path / RESULTS / "media").glob("*.parquet"))}
    grown = [name for name, rows in after.items() if len(rows) > len(media[name])]
    assert sum(map(len, after.values())) == 32 and 0 < len(grown) < 12
    assert sorted(shards_of(did, "media")) == sorted(shards_of(did, "extract")) == [name[:4] for name in grown]
    for path, (known, time) in kept.items():
        if f"{path.stem}.parquet" not in grown:
            assert (sha256_file(path), path.stat().st_mtime_ns) == (known, time), (
                "a shard without new clips is not touched"
            )
    for name in grown:
        rows = after[name].set_index("clip_id").loc[media[name]["clip_id"]]
        assert (rows["attempts"].to_numpy() == media[name]["attempts"].to_numpy()).all(), "no clip is fetched again"
