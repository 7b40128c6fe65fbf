"""What a window of the features `pretrained` costs, by the size of the picture, decoding included.

    python benchmarks/pretrained.py

makes clips of 340 x 256, 720p and 1080p (H.264, 25 frames a second, stereo sound) and decodes and embeds them in turn at one
thread, without the start of processes; "reading" holds the decoding that the column after it does alone. CPU seconds, the fair clock of a busy machine; medians over rounds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
from pathlib import Path

import av
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from clips import make_clip  # noqa: E402
from extraction import cpu_seconds, forward  # noqa: E402

from avzsl.config.features import FeaturesConfig  # noqa: E402
from extractors.base import ClipInfo, options_of  # noqa: E402
from extractors.pretrained import load, read  # noqa: E402

SIZES = {"340 x 256": (340, 256), "1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080)}


def decoded(path: Path) -> int:
    """Decode every picture of a file at one thread, and nothing else; returns their number."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream))


def measure(seconds: int, rounds: int, sizes: dict[str, tuple[int, int]]) -> dict[str, list[tuple[float, ...]]]:
    """Return CPU seconds a window for every size of picture, one for each round: H.264 alone, all reading, networks."""
    options = options_of(FeaturesConfig.model_validate({"extractor": "pretrained"}))
    times: dict[str, list[tuple[float, ...]]] = {name: [] for name in sizes}
    with tempfile.TemporaryDirectory() as folder:
        networks = load(options, "cpu", 1, Path(folder))
        for number in range(rounds + 1):
            for name, size in sizes.items():
                path = Path(folder) / f"{name}.mp4"
                if number == 0:
                    make_clip(path, seconds, 0, size)
                marks = [cpu_seconds()]
                decoded(path)
                marks.append(cpu_seconds())
                windows = [*read(path, options, ClipInfo())]
                marks.append(cpu_seconds())
                forward(networks, windows)
                marks.append(cpu_seconds())
                if number:  # the first round warms up
                    spent = [(later - earlier) / len(windows) for earlier, later in itertools.pairwise(marks)]
                    times[name].append(tuple(spent))
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"CPU ms a window: {'picture':>12} {'all':>6} {'networks':>9} {'reading':>8} {'H.264 alone':>12}")
    for name, found in measure(arguments.seconds, arguments.rounds, SIZES).items():
        h264, reading, networks = (1000 * statistics.median(part) for part in zip(*found, strict=True))
        print(f"{name:>29} {reading + networks:6.0f} {networks:9.0f} {reading:8.0f} {h264:12.0f}")


if __name__ == "__main__":
    main()
