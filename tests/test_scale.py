"""docs/scale.md says what the command prints, and what jobs ask for covers what was measured there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from avzsl.results.memory import NEEDS, megabytes

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").splitlines()
STAGES = {"shard_tables": "shards"}
GIB = re.compile(r"([\d.]+) GiB")


def test_the_tables_on_paper_are_those_of_the_command():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "scale.py", "--plan"],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    printed = [line for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(printed) > 20
    assert [line for line in printed if line not in PAGE] == []


def test_jobs_ask_for_what_their_stage_was_measured_to_take():
    """Rows begin with a step and its method; columns with a number of clips in their heading hold its peak."""
    seen, columns = set(), {}
    for line in PAGE:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if any("CPU s" in cell for cell in cells):
            clips = [re.match(r"([\d,]+) clips", cell) for cell in cells]
            columns = {at + 1: int(found[1].replace(",", "")) for at, found in enumerate(clips) if found}
            continue
        step = re.fullmatch(r"`(\w+)(?: [\w-]+)?`", cells[0])
        if not step or not columns:
            continue
        stage = STAGES.get(step[1], step[1])
        for at, clips in columns.items():
            peak = GIB.search(cells[at]) if at < len(cells) else None
            if peak:
                seen.add((stage, clips))
                assert megabytes(stage, clips) * 1e6 > 1.15 * float(peak[1]) * 2**30, (line, clips)
    assert {stage for stage, clips in seen if clips == 200_000} >= set(NEEDS) - {"steps"}
