"""Seals: what finished jobs left is known by content."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avzsl.runtime import seals


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of Snakemake with two files that one job has sealed."""
    monkeypatch.chdir(tmp_path)
    Path(".snakemake").mkdir()
    for name in ("table", "shard"):
        Path(name).write_text("one", encoding="utf-8")
    seals.seal(["table", "shard"])
    assert seals.changes() == []
    return tmp_path


def test_an_output_that_changed_asks_for_its_job(files: Path) -> None:
    (files / "shard").write_text("two", encoding="utf-8")
    [changed] = seals.changes()
    assert changed.path == "shard" and changed.output in {"table", "shard"}


def test_an_output_belongs_to_the_job_that_sealed_it_last(files: Path) -> None:
    """So that a project that an earlier version built, with another rule for a file, settles after one run."""
    (files / "shard").write_text("two", encoding="utf-8")
    seals.seal(["shard"])
    assert seals.changes() == []
    (files / "shard").unlink()
    [changed] = seals.changes()
    assert (changed.output, changed.path) == ("shard", "shard")
    (files / "table").unlink()
    assert {one.path for one in seals.changes()} == {"shard", "table"}


def test_a_clock_that_was_set_back_gives_an_output_to_nobody_else(files: Path) -> None:
    (files / "shard").write_text("two", encoding="utf-8")
    before = set(seals.SEALS.glob("*.json"))
    seals.seal(["shard"])
    [later] = set(seals.SEALS.glob("*.json")) - before
    os.utime(later, (0, 0))
    assert seals.changes() == []
