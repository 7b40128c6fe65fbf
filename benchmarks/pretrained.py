"""What a window of the features `pretrained` costs, by the size of the picture, decoding included.

    python benchmarks/pretrained.py

makes clips of 340 x 256, 720p and 1080p (H.264, 25 frames a second, stereo sound) and decodes and embeds them in turn at one
thread, without the start of processes. CPU seconds, the fair clock of a busy machine; medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from extraction import cpu_seconds, forward, make_clip  # noqa: E402

from avzsl.config.features import FeaturesConfig  # noqa: E402
from extractors.base import ClipInfo, options_of  # noqa: E402
from extractors.pretrained import load, read  # noqa: E402

SIZES = {"340 x 256": (340, 256), "1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080)}


def measure(seconds: int, rounds: int, sizes: dict[str, tuple[int, int]]) -> dict[str, list[float]]:
    """Return CPU seconds a window for every size of picture, one for each round."""
    options = options_of(FeaturesConfig.model_validate({"extractor": "pretrained"}))
    times: dict[str, list[float]] = {name: [] for name in sizes}
    with tempfile.TemporaryDirectory() as folder:
        networks = load(options, "cpu", 1, Path(folder))
        for number in range(rounds + 1):
            for name, size in sizes.items():
                path = Path(folder) / f"{name}.mp4"
                if number == 0:
                    make_clip(path, seconds, 0, size)
                started = cpu_seconds()
                windows = [*read(path, options, ClipInfo())]
                forward(networks, windows)
                if number:  # the first round warms up
                    times[name].append((cpu_seconds() - started) / len(windows))
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'picture':12} {'CPU ms a window':>16}")
    for name, found in measure(arguments.seconds, arguments.rounds, SIZES).items():
        print(f"{name:12} {1000 * statistics.median(found):16.0f}")


if __name__ == "__main__":
    main()
