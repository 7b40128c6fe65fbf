"""What runs again after a change, as a table; and what does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.workflow.small import add_clips, small_environment, snakefile, write_small

pytestmark = pytest.mark.timeout(600)

LAST = Counter({"results": 1, "report": 1})
# From the features on: what depends on their values.
AFTER_FEATURES = Counter({"pack": 1, "benchmark": 1, "run": 1}) + LAST
SHARDS = 4


def snakemake(folder: Path, *arguments: str) -> str:
    """Run Snakemake with the stub extractor; return what it said."""
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", snakefile(), "--cores", "2", *arguments],
        cwd=folder, env=small_environment(), capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-5000:]
    return result.stdout + result.stderr


def jobs(said: str) -> Counter[str]:
    """Return how many jobs of each rule Snakemake began or planned."""
    names = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", said, flags=re.MULTILINE)
    return Counter(name for name in names if name not in {"all", "catalogued_small"})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project in which everything has been made."""
    folder = tmp_path_factory.mktemp("finished")
    write_small(folder, shards=SHARDS)
    made = jobs(snakemake(folder))
    assert (
        made
        == Counter({"catalog_small": 1, "media": SHARDS, "extract": SHARDS, "embeddings": 1, "split": 1})
        + AFTER_FEATURES
    )
    return folder


def edit(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> str:
    """Change a file of the configuration; return its old text."""
    path = folder / "config" / name
    before = path.read_text(encoding="utf-8")
    values = yaml.safe_load(before)
    change(values)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return before


CONFIG, DATASET, FEATURES = "config.yaml", "datasets/small.yaml", "features/stub.yaml"
NOTHING: Counter[str] = Counter()
TABLE = {
    "nothing": (CONFIG, lambda c: None, NOTHING),
    "the title of a feature set": (FEATURES, lambda f: f.update(title="Another title"), Counter(report=1)),
    "the title of a data set": (DATASET, lambda d: d.update(title="Another title"), Counter(report=1)),
    "the window mode": (FEATURES, lambda f: f.update(windows="as_released"), Counter(extract=SHARDS) + AFTER_FEATURES),
    "a method more": (CONFIG, lambda c: c.update(methods=["avca", "cjme"]), Counter(run=1) + LAST),
    "a seed more": (CONFIG, lambda c: c.update(seeds=[0, 1]), Counter(run=1) + LAST),
    "a benchmark more, of the same data set": (
        CONFIG,
        lambda c: c.update(benchmarks={"small": {"dataset": "small"}, "again": {"dataset": "small"}}),
        Counter(benchmark=1, run=1) + LAST,
    ),
    "a method less": (CONFIG, lambda c: c.update(seeds=[0]), NOTHING),
    "the training": (
        DATASET,
        lambda d: d["methods"]["training"].update(epochs=3),
        Counter(run=1) + LAST,
    ),
    "the split": (
        DATASET,
        lambda d: d["splits"]["default"].update(test_seen=0.3),
        Counter(split=1, benchmark=1, run=1) + LAST,
    ),
    "a class's phrase": (
        DATASET,
        lambda d: d.update(phrases={"bouncing ball bell": "ball bell"}),
        # The plan: what may change. Shards whose clips stay the same are struck out when the catalogue is there.
        Counter(catalog_small=1, media=SHARDS, extract=SHARDS, embeddings=1, split=1) + AFTER_FEATURES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLE)
def test_what_a_change_of_the_configuration_runs_again(finished: Path, what: str) -> None:
    name, change, expected = TABLE[what]
    before = edit(finished, name, change)
    try:
        assert jobs(snakemake(finished, "-n")) == expected
    finally:
        (finished / "config" / name).write_text(before, encoding="utf-8")


def test_comments_and_logs_run_nothing_again(finished: Path) -> None:
    config = finished / "config"
    for path in config.rglob("*.yaml"):
        path.write_text(f"# a comment\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    logs = [path for path in (finished / "logs").rglob("*") if path.is_file()]
    assert logs
    for path in logs:
        path.write_text("another log\n", encoding="utf-8")
    logs[0].unlink()
    assert "Nothing to be done" in snakemake(finished, "-n")


def test_time_stamps_of_files_and_scripts_run_nothing_again(finished: Path) -> None:
    """A copied project or a fresh checkout has new time stamps and the old content."""
    later = time.time() + 5
    tables = [path for path in (finished / "results" / "small").rglob("*.parquet") if path.is_file()]
    scripts = list((Path(snakefile()).parent / "workflow/scripts").glob("*.py"))
    stamps = {path: path.stat() for path in [*tables, *scripts]}
    try:
        for path in stamps:
            os.utime(path, (later, later))
        assert jobs(snakemake(finished, "-n")) == NOTHING
    finally:
        for path, stat in stamps.items():
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_clips_more_run_only_their_shards(tmp_path: Path) -> None:
    from avzsl.contracts.schemas import CLIPS
    from avzsl.contracts.tables import read_table

    write_small(tmp_path, shards=SHARDS)
    snakemake(tmp_path)
    shards = sorted((tmp_path / "results/small/catalog/shards").glob("*.parquet"))
    before = [path.read_bytes() for path in shards]
    features = {path: path.stat().st_mtime_ns for path in (tmp_path / "results/small/features/stub/shards").iterdir()}

    add_clips(tmp_path, ["one more"], ("bouncing ball bell",))
    made = jobs(snakemake(tmp_path))

    changed = [path.stem for path, old in zip(shards, before, strict=True) if path.read_bytes() != old]
    assert len(changed) == 1, "one clip is in one shard"
    assert sum(len(read_table(path, CLIPS)) for path in shards) == 33
    assert made == Counter(catalog_small=1, media=1, extract=1, embeddings=1, split=1) + AFTER_FEATURES
    again = {path.stem for path, stamp in features.items() if path.stat().st_mtime_ns != stamp}
    assert again == set(changed)
    assert "Nothing to be done" in snakemake(tmp_path)
