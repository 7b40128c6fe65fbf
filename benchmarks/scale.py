"""What a rebuild of 200,000, 2 million and 20 million clips takes: on paper, and the steps after extraction measured.

python benchmarks/scale.py --plan            the tables of docs/scale.md
python benchmarks/scale.py --clips 20000     CPU seconds and peak memory of every step after extraction
python benchmarks/scale.py --clips 2000000 --keep FOLDER --only pack benchmark   some steps, in a project that is kept
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from avzsl.config.load import Project, load_project
from avzsl.config.sources import YoutubeSource
from avzsl.contracts.atomic import write_text
from avzsl.contracts.class_embeddings import ClassEmbeddings, write_embeddings
from avzsl.contracts.schemas import CLASSES as CLASSES_TABLE
from avzsl.contracts.schemas import CLIPS, FEATURES, MEDIA
from avzsl.contracts.streams import Stream, write_streams
from avzsl.contracts.tables import read_table, write_table
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.results.memory import NEEDS, megabytes
from avzsl.results.places import Places, shard_name
from avzsl.runtime.peak import peak_mb

SIZES = (200_000, 2_000_000, 20_000_000)
CLIPS_A_SHARD, SECONDS_A_CLIP = 256, 10
CLASSES, FEATURES_NAME = 309, "selavi-random"
HELD_OUT = ("val_unseen", "test_unseen", "val_seen", "test_seen")
# Shards that are under way at a time, seconds of a whole video (a guess), and the share of the clips that is tested.
UNDER_WAY, SECONDS_OF_A_VIDEO, TESTED = 16, 240, 0.2
# CPU seconds of retrieval among so many clips (docs/speed.md); it grows with their square.
RETRIEVAL_S, RETRIEVED = 90, 56_000
# A second of a 360-line cut as `avzsl doctor` guesses it, and 512 + 512 float32 values with their times a second.
BYTES_OF_VIDEO, BYTES_OF_FEATURES = 90_000, (512 + 512) * 4 + 16


def row(cells: Iterable[object]) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(map(str, cells)) + " |")


def heading(*cells: str) -> None:
    """Print the first two rows of a Markdown table, below an empty line."""
    print()
    row(cells)
    print("|" + "---|" * len(cells))


def plan(rate: float, gpu_rate: float) -> None:
    """Print the tables: fetching by addresses, extraction by devices, storage by `keep`, jobs, memory of every step."""
    hourly = YoutubeSource(kind="youtube").pace.requests_per_hour or 0
    addresses = (1, 4, 16, 64)
    heading("clips", *(f"days at {n} x {hourly:g} an hour" for n in addresses), f"hours at {rate:g} windows/s",
            f"GPU hours at {gpu_rate:g}")  # fmt: skip
    for clips in SIZES:
        days = (clips / hourly / 24 / number for number in addresses)
        hours = (clips * SECONDS_A_CLIP / one / 3600 for one in (rate, gpu_rate))
        row([f"{clips:,}", *(f"{number:,.0f}" for number in days), *(f"{number:,.1f}" for number in hours)])

    heading("clips", "`keep: originals`", "`clips`", "`features`: shards under way", "feature shards", "averages",
            "averages of 4096 + 4096")  # fmt: skip
    for clips in SIZES:
        video, some = BYTES_OF_VIDEO * SECONDS_A_CLIP, min(clips, UNDER_WAY * clips_a_shard(clips))
        sizes = (
            clips * (video + BYTES_OF_VIDEO * SECONDS_OF_A_VIDEO), clips * video, some * video,
            clips * SECONDS_A_CLIP * BYTES_OF_FEATURES, clips * 2 * 512 * 4, clips * 2 * 4096 * 4,
        )  # fmt: skip
        row([f"{clips:,}", *(f"{size / 1e9:,.1f} GB" for size in sizes)])

    heading("clips", "shards", "jobs of media and extract", "retrieval of a run, CPU hours")
    for clips in SIZES:
        shards = -(-clips // clips_a_shard(clips))
        hours = RETRIEVAL_S / 3600 * (clips * TESTED / RETRIEVED) ** 2
        row([f"{clips:,}", f"{shards:,}", f"{2 * shards:,}", f"{hours:,.2f}"])

    heading("a job asks for", *(f"{clips:,} clips" for clips in SIZES))
    for stage in NEEDS:
        row([f"`{stage}`", *(f"{megabytes(stage, clips) / 1000:,.1f} GB" for clips in SIZES)])


def clips_a_shard(clips: int) -> int:
    """Return how many clips a shard holds, as docs/cluster.md recommends."""
    return CLIPS_A_SHARD if clips < 100_000 else 1_000


class World:
    """A project in a folder of its own, with the files of all stages up to extraction: nothing is fetched or decoded."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.count, self.width, self.steps = folder, options.clips, options.width, options.steps
        self.per_shard, held = options.shard, options.held_out
        self.shards = -(-self.count // self.per_shard)
        self.classes = [f"class {number:03d}" for number in range(CLASSES)]
        text = json.dumps(
            {
                "benchmarks": {"scale": {"dataset": "scale"}}, "methods": options.methods.split(","),
                "seeds": [0], "results": str(folder / "results"), "data": str(folder / "data"),
            }
        )  # fmt: skip
        write_text(folder / "config" / "config.yaml", text)
        short = {"epochs": options.epochs, "batches_per_epoch": 50}
        dataset = {
            "catalog": {"module": "folder", "root": str(folder / "videos")}, "features": "selavi-random", "shards": self.shards,
            "embeddings": {"table": "demo"}, "splits": {"default": {"avoid": [], **dict.fromkeys(HELD_OUT if held else (), held)}}, "methods": {"training": short},
        }  # fmt: skip
        write_text(folder / "config" / "datasets" / "scale.yaml", json.dumps(dataset))

    @property
    def project(self) -> Project:
        """The checked configuration; every step reads it itself, as jobs do."""
        return load_project(self.folder / "config" / "config.yaml")

    @property
    def places(self) -> Places:
        return Places(self.folder / "results", self.folder / "data")

    def write(self) -> None:
        """Write catalogue, manifests, class embeddings and shards of features, unless they are there."""
        if self.places.shard_arrays("scale", FEATURES_NAME, shard_name(self.shards - 1)).is_file():
            return
        rng, places = np.random.default_rng(0), self.places
        ids = [f"{number:011x}_{10 * (number % 30):06d}" for number in range(self.count)]
        labels = rng.integers(CLASSES, size=self.count)
        clips = pd.DataFrame({"clip_id": ids, "dataset": "scale", "class_name": np.array(self.classes)[labels]})
        clips["source_id"] = [name[:11] for name in ids]
        clips["url"] = [f"https://www.youtube.com/watch?v={name[:11]}" for name in ids]
        clips["start_s"], clips["end_s"], clips["licence"] = 10.0, 20.0, "unknown"
        clips["shard"] = np.arange(self.count) // self.per_shard
        write_table(places.catalog_clips("scale"), clips, CLIPS)
        table = pd.DataFrame({"class_name": self.classes, "dataset": "scale", "phrase": self.classes})
        table["clips"] = np.bincount(labels, minlength=CLASSES)
        write_table(places.catalog_classes("scale"), table, CLASSES_TABLE)
        vectors = rng.standard_normal((CLASSES, 300)).astype(np.float32)
        made = ClassEmbeddings(tuple(self.classes), vectors, tuple(self.classes), {"name": "synthetic"})
        write_embeddings(made, places.embeddings("scale"))
        centres = {name: rng.standard_normal((CLASSES, self.width), np.float32) for name in MODALITIES}
        for shard, start in enumerate(range(0, self.count, self.per_shard)):
            own = slice(start, min(start + self.per_shard, self.count))
            self._shard(shard_name(shard), ids[own], {name: of[labels[own]] for name, of in centres.items()}, rng)

    def _shard(self, shard: str, ids: list[str], centres: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        places, number = self.places, int(shard)
        media = {
            "clip_id": ids, "shard": number, "status": "ok", "permanent": False, "attempts": 1, "source": "youtube",
            "path": [f"data/scale/media/{shard}/{name}.mp4" for name in ids], "bytes": 900_000,
            "sha256": [hashlib.sha256(name.encode()).hexdigest() for name in ids], "duration_s": 10.0,
        }  # fmt: skip
        write_table(places.manifest("scale", shard), pd.DataFrame(media), MEDIA)
        ends = self.steps * np.arange(len(ids) + 1)
        streams = {}
        for name, own in centres.items():
            values = rng.standard_normal((len(ids), self.steps, self.width), np.float32) + own[:, None]
            streams[name] = Stream(values.reshape(-1, self.width), ends, np.zeros((ends[-1], 2)))
        header = {"clip_ids": ids, "extractor": {"name": "synthetic", "random_weights": True}}
        write_streams(places.shard_arrays("scale", FEATURES_NAME, shard), streams, header)
        rows = {
            "clip_id": ids, "shard": number, "status": "ok", "row": range(len(ids)), "audio_steps": self.steps,
            "visual_steps": self.steps, "duration_s": 10.0 + 1e-3 * (np.arange(len(ids)) % 50), "fps": 25.0, "frames": 250,
        }  # fmt: skip
        write_table(places.shard_manifest("scale", FEATURES_NAME, shard), pd.DataFrame(rows), FEATURES)

    # The steps, as the scripts of the rules call them; what each imports is part of its cost.

    def split(self) -> None:
        from splits import audit_split, build_split, write_audit, write_split

        settings, folder = self.project.dataset("scale").splits["default"], self.places.split("scale", "default")
        clips, classes = (
            read_table(self.places.catalog_clips("scale"), CLIPS),
            read_table(self.places.catalog_classes("scale"), CLASSES_TABLE),
        )
        made = build_split(clips, classes, settings, self.folder)
        write_split(made, folder)
        write_audit(audit_split(made, clips, classes, settings, self.folder), folder)

    def shard_tables(self) -> None:
        from avzsl.acquisition.shards import write_shards

        places, config = self.places, self.project.dataset("scale")
        splits = {"default": places.split_clips("scale", "default")}
        write_shards(places, "scale", places.catalog_clips("scale"), splits, config.shards, config.media)

    def pack(self) -> None:
        from extractors import pack

        places = self.places
        shards = [shard_name(shard) for shard in range(self.shards)]
        parts = [
            (places.shard_arrays("scale", FEATURES_NAME, s), places.shard_manifest("scale", FEATURES_NAME, s))
            for s in shards
        ]
        pack(parts, places.pack("scale", FEATURES_NAME), places.pack_manifest("scale", FEATURES_NAME))

    def benchmark(self) -> None:
        from avzsl.benchmark import assemble

        places = self.places
        assemble(
            places.split("scale", "default"),
            (places.pack("scale", FEATURES_NAME), places.pack_manifest("scale", FEATURES_NAME)),
            places.manifests("scale"), places.embeddings("scale"), places.benchmark("scale"), name="scale",
        )  # fmt: skip

    def run(self, method: str) -> None:
        from avzsl.training.run import run

        places, project = self.places, self.project
        benchmark = project.benchmarks["scale"]
        run(
            places.benchmark("scale"), places.pack("scale", FEATURES_NAME), places.embeddings("scale"),
            project.method(method, benchmark), benchmark, 0, places.run("scale", method, 0).folder, device="cpu",
        )  # fmt: skip

    def results(self) -> None:
        from avzsl.report import summarise, terminal_table

        terminal_table(summarise(self.project, self.places.results))

    def tables(self) -> None:
        from avzsl.tables import write_tables

        write_tables(self.project, self.places.results, self.places.tables)

    def report(self) -> None:
        from avzsl.report import build

        build(self.project, self.places.results, self.places.page)


def _measured(
    queue: multiprocessing.Queue[tuple[float, float]], call: Callable[..., None], given: tuple[object, ...]
) -> None:
    # Beside this file lies another `splits`.
    sys.path = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).resolve().parent]
    before = time.process_time()
    call(*given)
    queue.put((time.process_time() - before, peak_mb() / 1024))


def step(call: Callable[..., None], *given: object) -> None:
    """Do a step in a process of its own; print its CPU seconds and peak memory, imports included."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_measured, args=(queue, call, given))
    process.start()
    while process.is_alive() and queue.empty():
        process.join(0.1)
    name = " ".join([call.__name__, *map(str, given)])
    if queue.empty():
        sys.exit(f"{name} ended with {process.exitcode}")
    seconds, gib = queue.get()
    process.join()
    row([f"`{name}`", f"{seconds:.1f}", f"{gib:.2f} GiB"])
    sys.stdout.flush()


STEPS = ("split", "shard_tables", "pack", "benchmark", "run", "results", "tables", "report")


def measure(world: World, steps: list[str]) -> None:
    """Print the costs of steps after extraction."""
    world.write()
    heading(f"{world.count:,} clips, {world.width} + {world.width} values", "CPU s", "peak")
    for name in steps:
        for given in world.project.benchmarks["scale"].methods if name == "run" else [None]:
            step(getattr(world, name), *([given] if given else []))


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plan", action="store_true", help="print the tables and measure nothing")
    parser.add_argument("--rate", type=float, default=3.0, help="with --plan: windows a second of two cores")
    parser.add_argument("--gpu-rate", type=float, default=850.0, help="with --plan: windows a second of one GPU")
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--shard", type=int, default=CLIPS_A_SHARD, help="clips of a shard")
    parser.add_argument("--width", type=int, default=512, help="of either modality")
    parser.add_argument("--steps", type=int, default=10, help="of each clip: what shards hold, and packs do not")
    parser.add_argument("--held-out", type=float, help="share of clips and classes in each of test and validation")
    parser.add_argument("--folder", help="where to put the project meanwhile; default: the system's temporary folder")
    parser.add_argument("--keep", help="a folder where the project stays, and is found again by the same other options")
    parser.add_argument(
        "--only", nargs="+", choices=STEPS, default=STEPS, help="what is done and measured; default: all"
    )
    parser.add_argument("--methods", default="avca", help="trained one after the other, divided by commas")
    parser.add_argument("--epochs", type=int, default=2, help="of 50 batches, in stage 1")
    options = parser.parse_args()
    if options.plan:
        plan(options.rate, options.gpu_rate)
        return
    # What is stopped takes its gigabytes away as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with contextlib.ExitStack() as stack:
        name = options.keep or stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder))
        measure(World(Path(name), options), options.only)


if __name__ == "__main__":
    main()
