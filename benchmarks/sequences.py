"""Training on sequences: a plain loop over one dense array, our batches from memory, and from a file on the disk.

Called as `python benchmarks/training.py --sequences`. The arithmetic of the step is the same model each time; what
differs is where a batch comes from and how it is padded.
"""

from __future__ import annotations

import copy
import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avzsl.benchmark import BenchmarkData, assemble, load
from avzsl.benchmark.synthetic import write
from avzsl.benchmark.synthetic_steps import write_steps
from avzsl.config.methods import TrainingConfig
from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.streams import Stream
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.methods import Batch, Clips, Dims, Steps, build
from avzsl.runtime.peak import peak_mb
from avzsl.training.sampling import BalancedSet, DeviceData
from extractors.packing import pack_steps

# Width and steps of a clip, as C3D and VGGish give them for VGGSound's ten seconds at 30 frames a second.
DIMS = (128, 4096)
LENGTHS = {"audio": (8, 10), "visual": (15, 19)}
CLASSES = (138, 69, 69)
CLIPS = 93_753
BATCH = 64
# TCaF's settings for these features (config/methods/tcaf.yaml, vggsound/c3d-vggish).
OPTIONS: dict[str, Any] = {
    "encoder_dropout": 0.2, "encoder_hidden": 512, "embedding_dropout": 0.1, "transformer_dropout": 0.5, "depth": 8,
}  # fmt: skip


def make(folder: Path, shrink: float, dtype: str) -> None:
    """Write a synthetic benchmark of VGGSound's number of clips divided by `shrink`, with its steps."""
    rng = np.random.default_rng(0)
    names = [f"class {i:03d}" for i in range(sum(CLASSES))]
    vectors = rng.standard_normal((len(names), 300))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    train, val = names[: CLASSES[0]], names[CLASSES[0] : sum(CLASSES[:2])]
    share = CLIPS / shrink / len(names)
    subsets = {
        "train": (train, 1.6), "val_seen": (train, 0.2), "val_unseen": (val, 0.8), "test_seen": (train + val, 0.15),
        "test_unseen": (names[sum(CLASSES[:2]) :], 1.0),
    }  # fmt: skip
    counts = {key: dict.fromkeys(part, max(1, round(share * weight))) for key, (part, weight) in subsets.items()}
    files = write(folder / "in", counts, dict(zip(names, vectors, strict=True)), dims=DIMS, noise=1.0)
    write_steps(files, LENGTHS, step_seconds=(0.96, 16 / 30), dtype=dtype)
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")


def read(folder: Path) -> BenchmarkData:
    """Open the benchmark with its steps on the disk."""
    pack, vectors = folder / "in/packed.safetensors", folder / "in/embeddings.safetensors"
    return load(folder / "benchmark", pack, vectors, steps=folder / "in/steps.safetensors")


def in_memory(data: BenchmarkData) -> BenchmarkData:
    """Return the same with its steps in memory."""
    assert data.steps is not None
    held = {name: Stream(np.array(s.values), s.offsets, s.times) for name, s in data.steps.items()}
    return replace(data, steps=held)


def dense(data: BenchmarkData) -> dict[str, tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Return values (clips, longest, dim), lengths and times of each modality, padded once and for all."""
    assert data.steps is not None
    out = {}
    for name, stream in data.steps.items():
        clips, longest = len(stream.offsets) - 1, int(stream.lengths.max())
        place = np.arange(longest) < stream.lengths[:, None]
        values = np.zeros((clips, longest, stream.values.shape[1]), stream.values.dtype)
        times = np.zeros((clips, longest, 2))
        values[place], times[place] = stream.values, stream.times
        out[name] = (torch.from_numpy(values), torch.from_numpy(stream.lengths), torch.from_numpy(times))
    return out


class DenseSet(BalancedSet):
    """The same clips in the same order, from arrays padded to the longest clip of all."""

    def __init__(self, *arguments: Any, arrays: dict[str, Any]) -> None:
        super().__init__(*arguments)
        self._arrays = arrays

    def batches(self, count: int, size: int) -> Iterator[Batch[Any]]:
        positive, _ = self.draw((count, size))
        for place in positive:
            rows, labels = self.rows[place], self.labels[place]
            audio, visual = (
                Steps(values[rows].float(), lengths[rows], times[rows])
                for values, lengths, times in (self._arrays[name] for name in MODALITIES)
            )
            clips = Clips(audio, visual, self.classes[labels], labels)
            yield Batch(clips, clips, self.classes)


def stepper(data: BenchmarkData, make_set: Callable[..., BalancedSet], model: Any) -> Callable[[int], float]:
    """Return a function that trains a few batches and gives the seconds of one."""
    training = TrainingConfig(batch_size=BATCH).under("corrected")
    source = DeviceData(data, torch.device("cpu"), "float32")
    subset = data.subset("train")
    batches = make_set(source, subset, 0, source.cropper(training, None, subset), False)
    own = copy.deepcopy(model).train()
    optimisers = own.optimisers(training)

    def run(count: int) -> float:
        started = time.perf_counter()
        for number, batch in enumerate(batches.batches(count, BATCH)):
            own.step(batch, optimisers, count - 1 - number)
        return (time.perf_counter() - started) / count

    return run


def gatherer(data: BenchmarkData, make_set: Callable[..., BalancedSet]) -> Callable[[int], float]:
    """Return a function that takes batches and trains nothing, and gives the seconds of one."""
    source = DeviceData(data, torch.device("cpu"), "float32")
    subset = data.subset("train")
    batches = make_set(source, subset, 0, source.cropper(TrainingConfig().under("corrected"), None, subset), False)

    def run(count: int) -> float:
        started = time.perf_counter()
        for batch in batches.batches(count, BATCH):
            batch.positive.visual.lengths.sum()
        return (time.perf_counter() - started) / count

    return run


def mapped_only(folder: str, batches: int) -> None:
    """Train from the disk in a process of its own and print its peak memory."""
    torch.set_num_threads(1)
    data = read(Path(folder))
    stepper(data, BalancedSet, build("tcaf", Dims(*DIMS, 300), OPTIONS))(batches)
    size = (Path(folder) / "in/steps.safetensors").stat().st_size / 2**30
    print(
        f"peak memory of training from the disk: {peak_mb() / 1024:.2f} GiB, with {size:.1f} GiB of steps", flush=True
    )


def prepare(folder: str) -> None:
    """Lay the steps out as the one shard of a pack that knows its checksum."""
    held, shard = Path(folder) / "in", Path(folder) / "shards/0000.safetensors"
    shard.parent.mkdir()
    shard.hardlink_to(held / "steps.safetensors")
    arrays, header = read_arrays(held / "packed.safetensors")
    write_arrays(Path(folder) / "pack.safetensors", arrays, {**header, "sha256": {shard.name: sha256_file(shard)}})


def packed_only(folder: str) -> None:
    """Copy the steps as a shard is copied into the file of all clips, and print the peak memory of that process."""
    place = Path(folder)
    pack_steps([place / "shards/0000.safetensors"], place / "pack.safetensors", place / "copy.safetensors")
    (place / "copy.safetensors").unlink()
    print(f"peak memory of packing: {peak_mb() / 1024:.2f} GiB", flush=True)


def processor() -> str:
    """Return the processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def measure(shrink: float, threads: int, rounds: int = 7, batches: int = 1, *, memory: bool = False) -> None:
    """Print medians, side by side in one run, of a training step and of gathering its batch; with `memory` only the peaks.

    Times need the steps in memory twice over, peaks only on the disk.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spawn = multiprocessing.get_context("spawn")
        # Each in a process of its own, whose peak is its alone.
        for what, given in (
            (make, (folder, shrink, "float16")), (prepare, (name,)), (packed_only, (name,)), (mapped_only, (name, 30 if memory else 4)),
        ):  # fmt: skip
            child = spawn.Process(target=what, args=given)
            child.start()
            child.join()
            if child.exitcode:
                raise SystemExit(f"{what.__name__} failed; is there room for {2 * 20.3 / shrink:.1f} GB in {folder}?")
        if memory:
            return
        torch.set_num_threads(threads)
        mapped = read(folder)
        held = in_memory(mapped)
        arrays = dense(mapped)
        model = build("tcaf", Dims(*DIMS, 300), OPTIONS)

        def plain(*arguments: Any) -> BalancedSet:
            return DenseSet(*arguments, arrays=arrays)

        for what, kind in (("step", lambda d, s: stepper(d, s, model)), ("batch alone", gatherer)):
            runs = {
                "dense": kind(held, plain), "in memory": kind(held, BalancedSet), "mapped": kind(mapped, BalancedSet),
            }  # fmt: skip
            seconds: dict[str, list[float]] = {key: [] for key in runs}
            for run in runs.values():
                run(1)
            for _ in range(rounds):
                for key, run in runs.items():
                    seconds[key].append(run(batches))
            medians = {key: statistics.median(values) for key, values in seconds.items()}
            print(
                f"{what}: dense {1000 * medians['dense']:.1f} ms; in memory {medians['in memory'] / medians['dense']:.2f} of it; "
                f"mapped {medians['mapped'] / medians['in memory']:.2f} of in memory"
            )
        print(
            f"{sum(len(p) for p in mapped.parts.values())} clips, batches of {BATCH}, {threads} threads, {processor()}"
        )
