"""What a window of the features `pretrained` costs, by the size of the picture, decoding included.

    python benchmarks/pretrained.py

makes clips of 340 x 256, 720p and 1080p (H.264, 25 frames a second, stereo sound) and decodes and embeds them in turn at one
thread, without the start of processes, with the networks run by torch and, where it is installed, by OpenVINO. "H.264 alone" decodes every frame and
does nothing else; reading leaves out those that nobody looks at and no other is made of. CPU seconds, the fair clock of a busy machine; medians over rounds.
"""

from __future__ import annotations

import argparse
import importlib.util
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

BACKENDS = ["torch", *(["openvino"] if importlib.util.find_spec("openvino") else [])]
SIZES = {"340 x 256": (340, 256), "1280 x 720": (1280, 720), "1920 x 1080": (1920, 1080)}


def decoded(path: Path) -> int:
    """Decode every picture of a file at one thread, and nothing else; returns their number."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream))


def measure(seconds: int, rounds: int, sizes: dict[str, tuple[int, int]]) -> dict[str, list[dict[str, float]]]:
    """Return CPU seconds a window for every size of picture, one set for each round: H.264 alone, all reading, each backend."""
    settings = [options_of(FeaturesConfig.model_validate({"extractor": "pretrained", "backend": b})) for b in BACKENDS]
    times: dict[str, list[dict[str, float]]] = {name: [] for name in sizes}
    with tempfile.TemporaryDirectory() as folder:
        networks = [load(options, "cpu", 1, Path(folder)) for options in settings]
        for number in range(rounds + 1):
            for name, size in sizes.items():
                path = Path(folder) / f"{name}.mp4"
                if number == 0:
                    make_clip(path, seconds, 0, size)
                marks = [cpu_seconds()]
                decoded(path)
                marks.append(cpu_seconds())
                windows = [*read(path, settings[0], ClipInfo())]
                marks.append(cpu_seconds())
                for network in networks:
                    forward(network, windows)
                    marks.append(cpu_seconds())
                if number:  # the first round warms up
                    spent = [(later - earlier) / len(windows) for earlier, later in itertools.pairwise(marks)]
                    times[name].append(dict(zip(("H.264 alone", "reading", *BACKENDS), spent, strict=True)))
    return times


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    totals = [f"all, {backend}" for backend in BACKENDS]
    print(
        f"CPU ms a window: {'picture':>12}"
        + "".join(f"{n:>15}" for n in (*totals, *BACKENDS, "reading", "H.264 alone"))
    )
    for name, rounds in measure(arguments.seconds, arguments.rounds, SIZES).items():
        ms = {part: 1000 * statistics.median(spent[part] for spent in rounds) for part in rounds[0]}
        ms |= {f"all, {backend}": ms["reading"] + ms[backend] for backend in BACKENDS}
        print(f"{name:>29}" + "".join(f"{ms[n]:15.0f}" for n in (*totals, *BACKENDS, "reading", "H.264 alone")))


if __name__ == "__main__":
    main()
