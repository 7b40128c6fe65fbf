"""Measure what the DAG costs: CPU time and memory of `snakemake -n` for catalogues of 2,000 to 2,000,000 clips.

    python benchmarks/dag.py                    # dry runs of the real workflow for synthetic catalogues
    python benchmarks/dag.py --done             # also: dry run and real run again when every file is there
    python benchmarks/dag.py --clips 200000     # one size

The DAG depends on the number of shards alone, so a catalogue of any size is one number in a YAML. The figures are
those of the operating system for the Snakemake process and its children (CPU seconds: user + system; memory: peak
resident set), so other work on the machine disturbs them little; each is the least of three.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SIZES = (2_000, 20_000, 200_000, 500_000, 1_000_000, 2_000_000)
# What the workflow promises (docs/cluster.md): clips -> CPU seconds, MB.
GOALS = {200_000: (5.0, 200.0), 2_000_000: (30.0, 500.0)}


@dataclass(frozen=True)
class Cost:
    """What a process and its children took."""

    cpu_s: float
    peak_mb: float
    wall_s: float
    jobs: int


def shards_for(clips: int) -> int:
    """Return the number of shards that docs/cluster.md recommends: about 256 clips each, a thousand from 100,000 on."""
    return max(1, round(clips / (256 if clips < 100_000 else 1_000)))


def write_project(folder: Path, shards: int) -> None:
    """Write a configuration with one benchmark on a catalogue of `shards` shards."""
    (folder / "config" / "datasets").mkdir(parents=True, exist_ok=True)
    values = {"benchmarks": {"big": {"dataset": "big"}}, "device": "cpu"}
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    dataset = {
        "catalog": {"module": "folder", "root": "videos"},
        "shards": shards,
        "features": "selavi-random",
        "embeddings": {"table": "demo"},
    }
    (folder / "config" / "datasets" / "big.yaml").write_text(yaml.safe_dump(dataset), encoding="utf-8")


def snakemake(folder: Path, *arguments: str) -> tuple[Cost, str]:
    """Run Snakemake in `folder`; return its cost and what it printed. Raises SystemExit if it failed."""
    log = folder / "snakemake.out"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1", *arguments],
            cwd=folder, stdout=stream, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        started = os.times().elapsed
        _, status, usage = os.wait4(process.pid, 0)
        wall = os.times().elapsed - started
    text = log.read_text(encoding="utf-8", errors="replace")
    if status:
        raise SystemExit(f"snakemake {' '.join(arguments)} failed:\n{text[-3000:]}")
    jobs = [int(line.split()[1]) for line in text.splitlines() if line.startswith("total ")]
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, wall, jobs[0] if jobs else 0), text


def least(folder: Path, *arguments: str) -> tuple[Cost, str]:
    """Run Snakemake three times; return the cheapest and what it printed."""
    return min((snakemake(folder, *arguments) for _ in range(3)), key=lambda pair: pair[0].cpu_s)


def finish(folder: Path) -> None:
    """Put an empty file wherever the DAG has an output, and let Snakemake record them as its own."""
    _, text = snakemake(folder, "--summary", "--quiet")
    for line in text.splitlines():
        name = line.split("\t")[0]
        if "\t" in line and name != "output_file":
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    snakemake(folder, "--touch", "--quiet")


def measure(clips: int, done: bool) -> list[tuple[str, int, Cost]]:
    """Return what was measured for a catalogue of `clips` clips."""
    shards = shards_for(clips)
    with tempfile.TemporaryDirectory(prefix="avzsl-dag-") as name:
        folder = Path(name)
        write_project(folder, shards)
        rows = [("dry run", shards, least(folder, "-n", "--quiet", "rules")[0])]
        if done:
            finish(folder)
            for what, arguments in (("done: dry run", ["-n"]), ("done: run again", [])):
                cost, text = least(folder, *arguments)
                if "Nothing to be done" not in text:
                    raise SystemExit(f"something is to be done after everything is done:\n{text[-3000:]}")
                rows.append((what, shards, cost))
    return rows


def main() -> int:
    """Print a row for each size; return 1 if a goal was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=SIZES, help="sizes of the catalogue")
    parser.add_argument("--done", action="store_true", help="also measure runs that find nothing to do")
    options = parser.parse_args()
    missed = False
    print(
        f"{'clips':>9} {'shards':>6} {'jobs':>6}  {'':15} {'CPU s':>6} {'peak MB':>8} {'wall s':>7}  goal", flush=True
    )
    for clips in options.clips:
        rows = measure(clips, options.done)
        for what, shards, cost in rows:
            verdict = ""
            if clips in GOALS:
                seconds, megabytes = GOALS[clips]
                if what == "done: run again":  # takes no longer than the dry run that has everything to do
                    seconds = min(seconds, rows[0][2].cpu_s)
                met = cost.cpu_s < seconds and cost.peak_mb < megabytes
                missed |= not met
                verdict = f"{'met' if met else 'MISSED'}: {seconds:.3g} s, {megabytes:g} MB"
            print(
                f"{clips:9,} {shards:6} {cost.jobs:6}  {what:15} {cost.cpu_s:6.1f} {cost.peak_mb:8.0f} {cost.wall_s:7.1f}  {verdict}",
                flush=True,
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
