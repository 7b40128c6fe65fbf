"""What jobs ask for follows the clips: by the formula, in the plan, and within what a stage may take."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from avzsl.results.memory import NEEDS, listed_clips, megabytes
from tests.workflow.small import small_environment, snakefile, write_small


@pytest.mark.parametrize("stage", sorted(NEEDS))
def test_no_stage_asks_for_more_than_it_may(stage: str) -> None:
    room = 4 if stage == "run" else 0  # networks, and a GPU's library
    assert megabytes(stage, 0) < megabytes(stage, 200_000) <= 1000 * (room + 2)
    assert megabytes(stage, 2_000_000) <= 1000 * (room + 4.3)


def test_without_a_catalogue_nothing_is_known(tmp_path: Path) -> None:
    path = tmp_path / "catalog.json"
    assert listed_clips(path) == 0
    path.write_text("[]", encoding="utf-8")
    assert listed_clips(path) == 0
    path.write_text('{"clips": 7}', encoding="utf-8")
    assert listed_clips(path) == 7


def planned(folder: Path) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", snakefile(), "-n", "all", "tables"],
        cwd=folder, env=small_environment(), capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.findall(
        r"^rule (\w+):\n(?:    .*\n)*?    resources: .*\bmem_mb=(\d+)", done.stdout + done.stderr, flags=re.MULTILINE
    )
    return {name: int(number) for name, number in found}


def test_jobs_ask_for_memory_by_the_clips_of_their_data_set(tmp_path: Path) -> None:
    write_small(tmp_path, shards=2, benchmarks={"a": {"dataset": "small"}, "b": {"dataset": "small"}})
    before = planned(tmp_path)
    assert {stage: before[stage] for stage in ("split", "pack", "benchmark", "run", "results", "report", "tables")} == {
        stage: megabytes(stage, 0) for stage in ("split", "pack", "benchmark", "run", "results", "report", "tables")
    }
    catalog = tmp_path / "results/small/catalog/catalog.json"
    catalog.parent.mkdir(parents=True)
    catalog.write_text(json.dumps({"clips": 2_000_000}), encoding="utf-8")
    after = planned(tmp_path)
    for stage in ("split", "pack", "benchmark", "run"):
        assert after[stage] == megabytes(stage, 2_000_000)
    # Two benchmarks of the same clips are read one beside the other.
    for stage in ("results", "report", "tables"):
        assert after[stage] == megabytes(stage, 4_000_000)
    assert after["media"] == before["media"]
