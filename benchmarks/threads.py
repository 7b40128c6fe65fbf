"""What threads that spin while they wait cost: CPU seconds of a product loop with and without `OMP_WAIT_POLICY=PASSIVE`.

    python benchmarks/threads.py --threads 2

runs small products on N threads alone, beside as many busy processes as decoders would be (half the threads), and on a
crowded machine (two busy processes a thread), the policies in turn, and prints medians of CPU seconds and wall time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

LOOP = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
a, b = torch.randn(256, 512), torch.randn(512, 512)
image, kernel = torch.randn(1, 64, 8, 28, 28), torch.randn(64, 64, 1, 3, 3)
def work(seconds):
    end, rounds = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        torch.relu(a @ b)
        torch.nn.functional.conv3d(image, kernel, padding=(0, 1, 1))
        sum(range(20000))  # what is done between two products
        rounds += 1
    return rounds
work(0.5)
cpu, rounds = time.process_time(), work(float(sys.argv[2]))
print((time.process_time() - cpu) / rounds, float(sys.argv[2]) / rounds)
"""
BUSY = "while True: sum(range(100000))"
POLICIES = {"spinning": {"OMP_WAIT_POLICY": "ACTIVE"}, "default": {}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}}  # fmt: skip


def measure(threads: int, policy: dict[str, str], seconds: float) -> tuple[float, float]:
    """Return CPU and wall seconds of one round under a policy."""
    clean = {k: v for k, v in os.environ.items() if k not in {"OMP_WAIT_POLICY", "KMP_BLOCKTIME", "OMP_NUM_THREADS"}}
    done = subprocess.run(
        [sys.executable, "-c", LOOP, str(threads), str(seconds)],
        env={**clean, **policy}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    cpu, wall = done.stdout.split()
    return float(cpu), float(wall)


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{'':24} {'policy':>9} {'CPU ms':>8} {'wall ms':>8}   a round, {options.threads} threads")
    for label, others in (("alone", 0), ("beside decoders", max(1, options.threads // 2)), ("crowded", 2 * options.threads)):  # fmt: skip
        busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(others)]
        try:
            taken: dict[str, list[tuple[float, float]]] = {name: [] for name in POLICIES}
            for _ in range(options.rounds):
                for name, policy in POLICIES.items():
                    taken[name].append(measure(options.threads, policy, options.seconds))
        finally:
            for process in busy:
                process.kill()
                process.wait()
        for name, pairs in taken.items():
            cpu, wall = (1000 * statistics.median(values) for values in zip(*pairs, strict=True))
            print(f"{label + f' ({others} busy)':24} {name:>9} {cpu:8.2f} {wall:8.2f}")


if __name__ == "__main__":
    main()
