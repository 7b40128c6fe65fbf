"""CPU seconds that a person waits before anything is done: `python benchmarks/startup.py`.

Each command is run several times in turn with the others, and the median printed. A dry run is set against that of a
workflow of one rule, which is Snakemake alone.

`--runs` in its place: the runs of a small benchmark, each in a process of its own and sharing processes (`runs_together`).
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROUNDS = 7
ROOT = Path(__file__).parents[1]
# Of the benchmark of `--runs`: words that the demo's table of embeddings knows.
WORDS = ("ball", "star", "ladder", "bell", "rain", "siren", "clock", "engine")
METHODS, SEEDS, RUN_ROUNDS = ("avca", "cjme"), (0, 1, 2), 3

JOBS = {"run": "avzsl.training.run", "page": "avzsl.report.page", "split": "splits.build, splits.audit"}
# As the scripts of the workflow do.
IN_A_JOB = "from avzsl.runtime.imports import importing\nwith importing():\n    import "


def seconds(command: list[str], cwd: Path) -> float:
    """Return the CPU seconds of a command and of what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # only the first run of all compiles
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def write_project(folder: Path) -> list[str]:
    """Write a project of features in `folder` and return the command that makes its runs, without its configuration."""
    rng = np.random.default_rng(0)
    clips = [(f"{word}/{number}", word) for word in WORDS for number in range(6)]
    for clip_id, word in clips:
        for modality in ("audio", "visual"):
            path = folder / "features" / modality / f"{clip_id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, (3 * np.eye(512)[WORDS.index(word)] + rng.random((1, 512))).astype(np.float32))
    pd.DataFrame(clips, columns=["clip_id", "class_name"]).to_csv(folder / "features/clips.csv", index=False)
    new = [sys.executable, "-m", "avzsl", "new", "mine", "--features", "features", "--embeddings", "demo"]
    seconds(new, folder)
    training = {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16}
    config = {
        "benchmarks": {"mine": {"dataset": "mine", "overrides": {"training": training}}},
        "methods": list(METHODS), "seeds": list(SEEDS), "device": "cpu",
    }  # fmt: skip
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    records = [f"results/benchmarks/mine/runs/{method}/seed-{seed}/run.json" for method in METHODS for seed in SEEDS]
    return [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), *records]


def compare_runs() -> None:
    """Print CPU seconds and wall time of all runs of a benchmark, Snakemake's own included, on one core and on two."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = write_project(folder)
        seconds([*command, "--cores", "2"], folder)
        for cores in ("1", "2"):
            taken: dict[str, list[tuple[float, float]]] = {"false": [], "true": []}
            for _ in range(RUN_ROUNDS):
                for together, values in taken.items():
                    shutil.rmtree(folder / "results/benchmarks/mine/runs")
                    started = time.monotonic()
                    cpu = seconds([*command, "--cores", cores, "--config", f"runs_together={together}"], folder)
                    values.append((cpu, time.monotonic() - started))
            for together, values in taken.items():
                cpu, wall = (statistics.median(column) for column in zip(*values, strict=True))
                print(f"{cores} cores, runs_together: {together:5} {cpu:6.1f} CPU s {wall:6.1f} s")


def main() -> None:
    """Print a row a command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", action="store_true", help="runs of a benchmark, apart and together")
    if parser.parse_args().runs:
        compare_runs()
        return
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name)
        (empty / "Snakefile").write_text("rule all:\n    output: 'a'\n    shell: 'touch a'\n", encoding="utf-8")
        python = sys.executable
        commands = {
            "python -c pass": ([python, "-c", "pass"], ROOT),
            "avzsl --help": ([python, "-m", "avzsl", "--help"], ROOT),
            "avzsl check": ([python, "-m", "avzsl", "check"], ROOT),
            "import torch": ([python, "-c", "import torch"], ROOT),
            **{f"a {name}'s imports": ([python, "-c", f"import {module}"], ROOT) for name, module in JOBS.items()},
            **{f"a {name}'s, in its job": ([python, "-c", IN_A_JOB + module], ROOT) for name, module in JOBS.items()},
            "snakemake -n": ([python, "-m", "snakemake", "-n", "-q"], ROOT),
            "snakemake -n, one rule": ([python, "-m", "snakemake", "-n", "-q"], empty),
        }
        taken: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(ROUNDS):
            for label, (command, cwd) in commands.items():
                taken[label].append(seconds(command, cwd))
    medians = {label: statistics.median(values) for label, values in taken.items()}
    for label, median in medians.items():
        print(f"{label:24} {median:6.2f} CPU s")
    print(f"{'of snakemake -n, ours':24} {medians['snakemake -n'] - medians['snakemake -n, one rule']:6.2f} CPU s")


if __name__ == "__main__":
    main()
