"""A project folder of its own for each test that runs the workflow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., subprocess.CompletedProcess[str]]


def snakemake_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", *arguments]


def environment() -> dict[str, str]:
    """Find the packages of this checkout in every job, installed or not."""
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}", "COLUMNS": "200"}


def run_in(folder: Path) -> Run:
    """Return a function that runs Snakemake in `folder` and, unless told not to, insists that it ends well."""

    def run(*arguments: str, check: bool = True, timeout: int = 500) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            snakemake_command(*arguments),
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
        return result

    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Snakemake in the test's own folder."""
    return run_in(tmp_path)


def write_config(folder: Path, name: str, values: object) -> Path:
    path = folder / "config" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def write_tiny_demo(folder: Path) -> None:
    """Configure a demo small enough for a test: every stage runs, and no score means anything."""
    demo = yaml.safe_load((ROOT / "config/datasets/demo.yaml").read_text(encoding="utf-8"))
    demo["catalog"]["world"] |= {"pictures": 4, "sounds": 2, "clips": 3, "max_seconds": 1.2}
    demo["shards"] = 2
    demo["splits"] = {"default": {"test_seen": 0.25, "val_seen": 0.25, "val_unseen": 0.25, "test_unseen": 0.25}}
    demo["methods"]["training"] = {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16}
    write_config(folder, "datasets/demo.yaml", demo)
    write_config(folder, "config.yaml", {"benchmarks": "demo", "seeds": [0]})
