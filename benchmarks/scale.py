"""What a rebuild of 200,000, 2 million and 20 million clips takes: on paper, and the steps after extraction measured.

python benchmarks/scale.py --plan            the tables of docs/scale.md
python benchmarks/scale.py --clips 20000     CPU seconds and peak memory of packing and assembling that many clips
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import write
from avzsl.config.sources import YoutubeSource
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import Stream, write_streams
from avzsl.contracts.tables import write_table
from extractors import pack

SIZES = (200_000, 2_000_000, 20_000_000)
CLIPS_A_SHARD, SECONDS_A_CLIP = 256, 10
# A second of a 360-line cut as `avzsl doctor` guesses it, and 512 + 512 float32 values with their times a second.
BYTES_OF_VIDEO, BYTES_OF_FEATURES = 90_000, (512 + 512) * 4 + 16


def plan(windows_a_second: float) -> None:
    """Print the tables: fetching by addresses, extraction by devices, storage by `keep`, jobs."""
    hourly = YoutubeSource(kind="youtube").pace.requests_per_hour or 0
    print(
        f"| clips | days at 1 address ({hourly:g} an hour) | 4 | 16 | device hours at {windows_a_second:g} windows/s |"
    )
    print("|---|---|---|---|---|")
    for clips in SIZES:
        days = [clips / hourly / 24 / addresses for addresses in (1, 4, 16)]
        hours = clips * SECONDS_A_CLIP / windows_a_second / 3600
        print(f"| {clips:,} | {days[0]:,.0f} | {days[1]:,.0f} | {days[2]:,.0f} | {hours:,.0f} |")
    print(
        "\n| clips | media (`keep: clips`) | feature shards | averages | jobs of media and extract |\n|---|---|---|---|---|"
    )
    for clips in SIZES:
        seconds = clips * SECONDS_A_CLIP
        sizes = (seconds * BYTES_OF_VIDEO, seconds * BYTES_OF_FEATURES, clips * (512 + 512) * 4)
        shards = -(-clips // CLIPS_A_SHARD)
        print(f"| {clips:,} | " + " | ".join(f"{size / 1e9:,.1f} GB" for size in sizes) + f" | {2 * shards:,} |")


def make_shards(folder: Path, clips: int, width: int) -> list[tuple[Path, Path]]:
    """Write shards of clips with ten steps each."""
    made, rng = [], np.random.default_rng(0)
    for shard, start in enumerate(range(0, clips, CLIPS_A_SHARD)):
        ids = [f"clip {number:08d}" for number in range(start, min(start + CLIPS_A_SHARD, clips))]
        steps = SECONDS_A_CLIP * len(ids)
        streams = {
            name: Stream(
                rng.standard_normal((steps, width), np.float32),
                np.arange(0, steps + 1, SECONDS_A_CLIP),
                np.zeros((steps, 2)),
            )
            for name in ("audio", "visual")
        }
        arrays, table = folder / f"{shard:04d}.safetensors", folder / f"{shard:04d}.parquet"
        write_streams(arrays, streams, {"clip_ids": ids, "extractor": {"name": "synthetic"}})
        rows = {"clip_id": ids, "shard": shard, "status": "ok", "row": range(len(ids)), "audio_steps": SECONDS_A_CLIP}
        write_table(table, pd.DataFrame({**rows, "visual_steps": SECONDS_A_CLIP}), FEATURES)
        made.append((arrays, table))
    return made


def _measured(
    queue: multiprocessing.Queue[tuple[float, float]], call: Callable[..., None], given: tuple[object, ...]
) -> None:
    before = time.process_time()
    call(*given)
    queue.put((time.process_time() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20))


def step(name: str, call: Callable[..., None], *given: object) -> None:
    """Run a step in a process of its own; print its CPU seconds and peak memory, imports included."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measured, args=(queue, call, given))
    process.start()
    seconds, gib = queue.get()
    process.join()
    print(f"{name:10} {seconds:8.1f} CPU s {gib:6.2f} GiB", flush=True)


def join(folder: Path, out: Path) -> None:
    """Assemble what `measure` wrote to `folder`."""
    assemble(
        folder, (folder / "packed.safetensors", folder / "packed.parquet"), [], folder / "embeddings.safetensors", out
    )


def measure(clips: int, width: int) -> None:
    """Print the costs of packing and of assembling `clips` clips of `width` + `width` values."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = folder / "shards"
        shards.mkdir()
        print(f"{clips} clips, {width} + {width} values")
        step("pack", pack, make_shards(shards, clips, width), folder / "a.safetensors", folder / "a.parquet")
        names = [f"class {number:03d}" for number in range(60)]
        parts = {"train": names[:40], "val_seen": names[:40], "val_unseen": names[40:50], "test_seen": names[:50], "test_unseen": names[50:]}  # fmt: skip
        counts = {subset: dict.fromkeys(own, clips // 5 // len(own)) for subset, own in parts.items()}
        rng = np.random.default_rng(0)
        vectors = {key: rng.standard_normal(50) / 7 for key in names}
        files = write(folder / "in", counts, vectors, dims=(width, width), noise=2.0)
        step("assemble", join, files.split, folder / "out")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="store_true", help="print the tables and measure nothing")
    parser.add_argument("--rate", type=float, default=3.0, help="with --plan: windows a second of one device")
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=512)
    options = parser.parse_args()
    plan(options.rate) if options.plan else measure(options.clips, options.width)


if __name__ == "__main__":
    main()
