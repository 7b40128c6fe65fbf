"""The two-stage AVCA protocol side by side: a plain loop, written from the specification the way the released code
works, and this project's. CPU seconds of one process, equal float32 arithmetic, synthetic features.

    python benchmarks/training.py --shape ucf --shrink 10     # whole protocol, a tenth of the epochs' length
    python benchmarks/training.py --epoch --threads 1         # an epoch of 500 batches, from batches timed in turn
    python benchmarks/training.py --evaluation                # VGGSound's test set, every beta
    python benchmarks/training.py --memory                    # peak memory with VGGSound-sized features
    python benchmarks/training.py --precision                 # bfloat16 and compilation: time and HM over 5 seeds
    python benchmarks/training.py --sequences --shrink 60     # TCaF's step on VGGSound-sized sequences, in memory and mapped
    python benchmarks/training.py --sequences --memory --shrink 1   # its peak memory at VGGSound's size; 45 GB of disk
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from plain_protocol import plain_evaluate, plain_protocol, plain_stage
from threadpoolctl import threadpool_limits

from avzsl.benchmark import assemble, load
from avzsl.benchmark.synthetic import SyntheticFiles, write
from avzsl.config.load import SHIPPED, Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides
from avzsl.evaluation import Calibration
from avzsl.evaluation.retrieval import retrieve
from avzsl.methods import Dims, build
from avzsl.methods.blocks import pairwise
from avzsl.runtime.devices import keep_freed_memory
from avzsl.runtime.peak import peak_mb
from avzsl.training.evaluate import validate
from avzsl.training.run import run
from avzsl.training.sampling import BalancedSet, DeviceData

# Classes of role train, val_unseen, test_unseen; clips of each subset; batch size; the data set's number of classes.
SHAPES = {
    "ucf": ((30, 12, 9), (3174, 353, 1467, 555, 1267), 256, 101),
    "activitynet": ((99, 51, 50), (9204, 1023, 4307, 1615, 4199), 256, 200),
    "vggsound": ((138, 69, 69), (70351, 7817, 3102, 9032, 3450), 64, 309),
}


def make(folder: Path, shape: str) -> tuple[SyntheticFiles, Path]:
    """Write a synthetic benchmark of a data set's shape: 512 + 512 features, 300-d class embeddings."""
    (train, val, test), sizes, _, _ = SHAPES[shape]
    rng = np.random.default_rng(0)
    names = [f"class {i:03d}" for i in range(train + val + test)]
    # Vectors of a low-dimensional structure, so that there is something to transfer.
    vectors = rng.standard_normal((len(names), 40)) @ rng.standard_normal((40, 300))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = (names[:train], names[:train], names[train : train + val], names[: train + val], names[train + val :])
    counts = {}
    for subset, classes, size in zip(
        ("train", "val_seen", "val_unseen", "test_seen", "test_unseen"), groups, sizes, strict=True
    ):
        counts[subset] = {name: size // len(classes) + (i < size % len(classes)) for i, name in enumerate(classes)}
    files = write(folder / "in", counts, dict(zip(names, vectors, strict=True)), dims=(512, 512), noise=2.0)
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return files, folder / "benchmark"


def avca(preset: str, **training: Any) -> Method:
    """Return AVCA under a preset, with the settings that the released scripts have for UCF."""
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / "avca.yaml").read_text()))
    options = {**config.options, **config.presets.get(preset, Overrides()).options}  # type: ignore[call-overload]
    return Method("avca", config, options, config.training.model_copy(update=training))


# --- measurements -----------------------------------------------------------------------------------------------


def clock() -> float:
    """CPU seconds of this process and its children."""
    use, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return use.ru_utime + use.ru_stime + children.ru_utime + children.ru_stime


def protocol(shape: str, shrink: float, threads: int) -> None:
    """Print CPU seconds of the whole two-stage protocol: plain, as_released, corrected."""
    batches = max(2, round(500 / shrink))
    with tempfile.TemporaryDirectory() as name:
        files, folder = make(Path(name), shape)
        data = load(folder, files.pack[0], files.embeddings)
        size = {"epochs": 50 if shrink <= 25 else 10, "batches_per_epoch": batches, "batch_size": SHAPES[shape][2]}
        print(f"{shape}: {size}, {threads} threads")
        started = clock()
        epoch = plain_protocol(data, avca("as_released", **size), SHAPES[shape][3])
        released = clock() - started
        print(f"plain loop    {released:8.1f} CPU s   selected epoch {epoch}")
        for preset in ("as_released", "corrected"):
            benchmark = Benchmark(shape, shape, "d", "f", preset, ("avca",), (0,), Overrides())  # type: ignore[arg-type]
            started = clock()
            out = Path(name) / preset
            run(folder, files.pack[0], files.embeddings, avca(preset, **size), benchmark, 0, out, "cpu", threads)
            seconds = clock() - started
            row = json.loads((out / "run.json").read_text())
            print(
                f"{preset:12}  {seconds:8.1f} CPU s   selected epoch {row['epoch']}   {released / seconds:.2f} times faster"
            )


def epoch(shape: str, threads: int, rounds: int = 5, batches: int = 12) -> None:
    """Print CPU seconds of an epoch of 500 batches, plain and ours, from batches timed in turn; medians of the rounds.

    As released, the passes that move statistics run in the last steps of an epoch alone, so both kinds of steps are timed.
    """
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        files, folder = make(Path(name), shape)
        data = load(folder, files.pack[0], files.embeddings)
        size = SHAPES[shape][2]
        source = DeviceData(data, torch.device("cpu"), "float32")
        ways: dict[str, Any] = {}
        last = 0  # steps of an epoch whose passes count
        method = avca("as_released", epochs=1, batches_per_epoch=batches, batch_size=size)
        ways["plain loop"] = lambda: plain_stage(data, ("train",), method, SHAPES[shape][3], 0)
        for preset in ("as_released", "corrected"):
            torch.manual_seed(0)
            model = build("avca", Dims(512, 512, 300), avca(preset).options)
            optimisers = model.optimisers(method.training)
            drawn = BalancedSet(source, data.subset("train"), 0)
            for remaining, label in ((0, "with passes"), (10**6, "without")) if preset == "as_released" else ((0, ""),):

                def steps(
                    model: Any = model, drawn: Any = drawn, adam: Any = optimisers, remaining: int = remaining
                ) -> None:
                    model.train()
                    for batch in drawn.batches(batches, size):
                        float(model.step(batch, adam, remaining))

                ways[f"{preset} {label}".strip()] = steps
            last = int(getattr(model, "_statistics_steps", 0)) if preset == "as_released" else last
        validated = lambda: validate(model, source, method.training)  # noqa: E731
        times: dict[str, list[float]] = {}
        for number in range(rounds + 1):
            for label, work in {**ways, "validation": validated}.items():
                started = clock()
                work()
                if number:
                    times.setdefault(label, []).append(clock() - started)
        median = {label: statistics.median(values) for label, values in times.items()}
        a_batch = {label: median[label] / batches for label in ways}
        plain = 500 * a_batch["plain loop"]
        released = last * a_batch["as_released with passes"] + (500 - last) * a_batch["as_released without"]
        print(f"{shape}, {threads} threads, batches of {size}, CPU ms a batch:")
        for label, seconds in a_batch.items():
            print(f"  {label:26} {1000 * seconds:7.1f}")
        for label, seconds in (("as_released", released), ("corrected", 500 * a_batch["corrected"])):
            whole = seconds + median["validation"]
            print(
                f"an epoch of 500 batches and validation: plain {plain:.0f} s, {label} {whole:.0f} s, {plain / whole:.2f} times faster"
            )


def evaluation() -> None:
    """Print CPU time of scoring VGGSound's test set at every beta, from embeddings: plain and ours."""
    classes, clips = 276, 12482
    rng = np.random.default_rng(0)
    ids, seen = np.sort(rng.permutation(309)[:classes]), np.arange(classes) < 207
    w = torch.from_numpy(rng.standard_normal((classes, 64)).astype(np.float32)).relu()
    labels = rng.integers(0, classes, clips)
    z = (w[labels] + 2 * torch.from_numpy(rng.standard_normal((clips, 64)).astype(np.float32))).relu()
    plain_scores, plain = timed(lambda: plain_evaluate(z, w, torch.from_numpy(ids[labels]), ids, seen, 309), 5)
    keep_freed_memory()  # as a run does
    ours, mine = timed(lambda: Calibration(pairwise(z, w).numpy(), labels, seen).best(), 50)
    matrix = pairwise(z, w).numpy()
    _, scored = timed(lambda: Calibration(matrix, labels, seen).best(), 50)
    print(f"plain {1000 * plain:.0f} ms   ours {1000 * mine:.1f} ms   {plain / mine:.0f} times faster")
    print(f"of which calibration, every beta, from the one matrix of distances: {1000 * scored:.1f} ms")
    print(f"HM plain {plain_scores[2]:.6f}, ours {ours.hm:.6f} at beta {ours.beta:.1f}")


def retrieval(clips: int) -> None:
    """Print CPU time and peak memory of retrieval among `clips` test clips of 276 classes, in two modalities."""
    rng = np.random.default_rng(0)
    labels, words = rng.integers(0, 276, clips), rng.standard_normal((276, 64)).astype(np.float32)
    points = {name: words[labels] + 2 * rng.standard_normal((clips, 64), np.float32) for name in ("audio", "visual")}
    started = clock()
    found = retrieve({**points, "classes": words}, labels, np.arange(276) < 207)
    print(f"{clips} clips: {clock() - started:.1f} CPU s, peak {peak_mb() / 1024:.2f} GiB")
    print(f"audio -> visual: mAP {found['audio_visual']['hm']:.4f}")


def timed(call: Any, repeats: int) -> tuple[Any, float]:
    """Return the result of `call` and the median of its CPU seconds, after one call to warm up."""
    result, seconds = call(), []
    for _ in range(repeats):
        started = clock()
        call()
        seconds.append(clock() - started)
    return result, statistics.median(seconds)


def memory() -> None:
    """Print this process's peak memory for a short run on VGGSound-sized features."""
    with tempfile.TemporaryDirectory() as name:
        # Made in a child process, so that only training counts here.
        import multiprocessing

        child = multiprocessing.get_context("spawn").Process(target=make, args=(Path(name), "vggsound"))
        child.start()
        child.join()
        files = SyntheticFiles(
            Path(name) / "in",
            (Path(name) / "in" / "packed.safetensors", Path(name) / "in" / "packed.parquet"),
            Path(name) / "in" / "embeddings.safetensors",
        )
        method = avca("corrected", epochs=1, batches_per_epoch=20, batch_size=64)
        benchmark = Benchmark("vggsound", "vggsound", "d", "f", "corrected", ("avca",), (0,), Overrides())
        run(
            Path(name) / "benchmark",
            files.pack[0],
            files.embeddings,
            method,
            benchmark,
            0,
            Path(name) / "out",
            "cpu",
            1,
        )
    print(f"peak memory {peak_mb() / 1024:.2f} GiB, 94,752 clips")


def precision(shrink: float, threads: int) -> None:
    """Print time and HM over 5 seeds in float32, in bfloat16, and compiled."""
    with tempfile.TemporaryDirectory() as name:
        files, folder = make(Path(name), "ucf")
        benchmark = Benchmark("ucf", "ucf", "d", "f", "corrected", ("avca",), (0,), Overrides())
        size = {"epochs": 10, "batches_per_epoch": max(2, round(500 / shrink)), "batch_size": 256}
        for label, change in (
            ("float32", {}),
            ("bfloat16", {"precision": "bfloat16"}),
            ("compiled", {"compile": True}),
        ):
            hm, started = [], clock()
            for seed in range(5):
                out = Path(name) / "out"
                run(
                    folder,
                    files.pack[0],
                    files.embeddings,
                    avca("corrected", **size, **change),
                    benchmark,
                    seed,
                    out,
                    "cpu",
                    threads,
                )
                hm.append(json.loads((out / "run.json").read_text())["hm"])
            print(
                f"{label:9} {clock() - started:7.1f} CPU s   HM {np.mean(hm):.2f} ± {np.std(hm, ddof=1):.2f}   {np.round(hm, 2)}"
            )


def main() -> None:
    """Parse the command line and print one measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), default="ucf")
    parser.add_argument("--shrink", type=float, default=10.0, help="divide the 500 batches of an epoch by this")
    parser.add_argument("--threads", type=int, default=2)
    for flag in ("--epoch", "--evaluation", "--memory", "--retrieval", "--precision", "--sequences"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--clips", type=int, default=12482, help="with --retrieval")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(options.threads)
    threadpool_limits(options.threads)  # NumPy's products as well
    if options.epoch:
        epoch(options.shape, options.threads)
    elif options.evaluation:
        evaluation()
    elif options.retrieval:
        retrieval(options.clips)
    elif options.sequences:
        import sequences  # beside this file

        sequences.measure(options.shrink, options.threads, memory=options.memory)
    elif options.memory:
        memory()
    elif options.precision:
        precision(options.shrink, options.threads)
    else:
        protocol(options.shape, options.shrink, options.threads)


if __name__ == "__main__":
    main()
