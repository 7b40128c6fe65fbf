"""A job reads, of what the workflow makes, only the files that its rule names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.small import small_environment, snakefile, write_small

UNFINISHED = ".avzsl-unfinished-"
WATCH = Path(__file__).parent / "watch"
# Folders of the project that jobs write to.
OURS = ("results/", "logs/", "data/")
RULES = {"catalog_small", "shards_small", "embeddings", "media", "extract", "pack", "steps", "split", "benchmark", "run", "results",
         "report", "tables"}  # fmt: skip

pytestmark = pytest.mark.timeout(600)


def test_jobs_read_only_what_their_rule_names(tmp_path: Path) -> None:
    write_small(tmp_path, shards=2, methods=["avca", "tcaf"])
    watched = tmp_path / "watched.jsonl"
    environment = small_environment()
    environment |= {"PYTHONPATH": f"{WATCH}{os.pathsep}{environment['PYTHONPATH']}", "AVZSL_WATCH": str(watched)}
    subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", snakefile(), "--cores", "2", "all", "tables"],
        cwd=tmp_path, env=environment, check=True, timeout=500,
    )  # fmt: skip
    jobs = [json.loads(line) for line in watched.read_text(encoding="utf-8").splitlines()]
    assert {job["rule"] for job in jobs} == RULES
    unnamed = {job["rule"]: sorted(files) for job in jobs if (files := set(job["read"]) - allowed(job))}
    assert unnamed == {}
    # The watch sees what Python opens and what compiled libraries open.
    for job in jobs:
        assert set(job["input"]) & set(job["read"]) or job["rule"] == "catalog_small", job["rule"]


def allowed(job: dict[str, list[str]]) -> set[str]:
    """Return what a job may read of its reads: named files, all below a named folder, and its own unfinished files."""
    named = {os.path.relpath(name) if name.startswith("/") else name for name in job["named"]}
    return {
        path
        for path in job["read"]
        if not path.startswith(OURS)
        or path in named
        or any(path.startswith(f"{name}/") for name in named)
        or Path(path).name.startswith(UNFINISHED)
    }
