"""CPU seconds that a person waits before anything is done: `python benchmarks/startup.py`.

Each command is run several times in turn with the others, and the median printed. A dry run is set against that of a
workflow of one rule, which is Snakemake alone.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 7
ROOT = Path(__file__).parents[1]


def seconds(command: list[str], cwd: Path) -> float:
    """Return the CPU seconds of a command and of what it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a row a command."""
    with tempfile.TemporaryDirectory() as name:
        empty = Path(name)
        (empty / "Snakefile").write_text("rule all:\n    output: 'a'\n    shell: 'touch a'\n", encoding="utf-8")
        python = sys.executable
        commands = {
            "python -c pass": ([python, "-c", "pass"], ROOT),
            "avzsl --help": ([python, "-m", "avzsl", "--help"], ROOT),
            "avzsl check": ([python, "-m", "avzsl", "check"], ROOT),
            "import torch": ([python, "-c", "import torch"], ROOT),
            "a run's imports": ([python, "-c", "import avzsl.training.run"], ROOT),
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
