"""What a GPU makes of all this: one command, one JSON, under six minutes on an H100 with 16 cores.

    PYTHONPATH=. python benchmarks/gpu.py --json gpu.json

Needs this repository, torch 2.11 or later, PyAV, NumPy, pydantic and safetensors, and nothing else. To a machine that has
torch and NumPy but no network carry four wheels and what pydantic brings (pydantic-core, annotated-types, typing-inspection,
typing-extensions):

    pip download -d wheels av pydantic safetensors               where there is a network
    pip install --no-index --find-links wheels av pydantic safetensors               there

Every part is a process of its own with a time limit: a fault costs its row and says so. The limits add up to less than six
minutes. The last row holds the goals against what was measured. `--small` runs all parts in small form on a CPU, which is how
they are tested; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from bare_trunks import trunks
from clips import make_clip

from avzsl.config.features import FeaturesConfig
from avzsl.media import hardware as nvdec
from avzsl.media.display import Reformat
from avzsl.media.opening import open_container
from avzsl.media.pictures import decode_video
from avzsl.runtime.accelerator import Accelerator, accelerator
from extractors.base import ClipInfo, Window, options_of
from extractors.clips import Clip, extract_clips
from extractors.pool import DecodePool, Hardware
from extractors.selavi import read_raw
from extractors.selavi.device import EXECUTIONS, DeviceNetworks
from extractors.selavi.prepare import prepare_pictures, prepare_sounds
from extractors.selavi.trunks import Trunks

Row = dict[str, Any]


class Bench:
    """What the parts share: the device, the sizes, the clips."""

    def __init__(self, small: bool, folder: Path) -> None:
        self.small, self.folder = small, folder
        self.device = torch.device("cpu") if small else torch.device("cuda", 0)
        self.card: Accelerator = accelerator(self.device)
        self.threads = 2 if small else (os.cpu_count() or 1)
        torch.manual_seed(0)

    def clips(self, size: tuple[int, int], count: int, seconds: int) -> list[Path]:
        """Return clips of a size, made once and copied: decoding does not know."""
        first = self.folder / f"{size[0]}x{size[1]}-{seconds}.mp4"
        if not first.exists():
            make_clip(first, seconds, 0, size)
        paths = [first.with_name(f"{first.stem}-{k}.mp4") for k in range(count)]
        for path in paths:
            if not path.exists():
                os.link(first, path)
        return paths

    def settings(self) -> FeaturesConfig:
        """Return a feature set of random weights."""
        return FeaturesConfig.model_validate({"weights": {"random_seed": 0}})

    def networks(self, execution: str, batch: int | None, weights: Trunks | None = None) -> DeviceNetworks:
        """Return the networks of a GPU, with random weights by default."""
        return DeviceNetworks(weights or trunks(), {}, self.card, execution, batch, released=False)

    def windows(self, count: int) -> list[Window]:
        """Return raw windows in this process's memory."""
        [path] = self.clips((340, 256), 1, 3)
        some = list(read_raw(path, options_of(self.settings()), ClipInfo()))
        return [some[k % len(some)] for k in range(count)]

    def rate(self, work: Callable[[], Any], count: int, repeats: int = 3) -> float:
        """Return how many of `count` a second `work` does at its best, after one call to warm up."""
        work()
        return count / min(self.card.seconds(work) for _ in range(1 if self.small else repeats))


def machine(bench: Bench) -> Row:
    """Card, driver, versions, cores."""
    row: Row = {
        "card": bench.card.name, "torch": torch.__version__, "cuda": torch.version.cuda, "av": av.__version__,
        "cores": os.cpu_count(), "cudnn": torch.backends.cudnn.version(),
    }  # fmt: skip
    if not bench.small:
        row["memory_gib"] = round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1)
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True, check=False
        )  # fmt: skip
        row["driver"] = asked.stdout.strip()
    return row


def matmul(bench: Bench) -> Row:
    """TFLOP/s of one large product, by type."""
    size, row = 256 if bench.small else 8192, {}
    for name, (dtype, tf32) in EXECUTIONS.items():
        a = torch.randn(size, size, device=bench.device).to(dtype)
        with bench.card.float32_as(tf32):
            row[name] = bench.rate(lambda a=a: [a @ a for _ in range(10)], 10) * 2 * size**3 / 1e12  # type: ignore[misc]
    return row


def errors(bench: Bench) -> Row:
    """Largest difference of the features to the plain modules on the CPU in float32, relative to the largest feature.

    For random weights, and for the "golden" ones that the reference's numbers were made with.
    """
    some = bench.windows(1 if bench.small else 4)
    frames = torch.empty((len(some), 30, 112, 112, 3))
    prepare_pictures(some, frames, released=False)
    sounds = prepare_sounds([window.audio for window in some], torch.device("cpu"))
    row = {}
    for golden in (False, True):
        weights = trunks(golden=golden)
        with torch.inference_mode():
            exact = weights.audio(sounds).numpy(), weights.video(frames.permute(0, 4, 1, 2, 3).contiguous()).numpy()
        for name in ["fused"] if bench.small else EXECUTIONS:
            ours = bench.networks(name, len(some), weights)
            found = ours.embed([Window.of(w.start, w.end, ours.feed.upload(w.arrays())) for w in some])()
            for kind, one, other in zip(("audio", "visual"), found, exact, strict=True):
                key = f"{'golden ' if golden else ''}{name} {kind}"
                row[key] = float(np.abs(one - other).max() / np.abs(other).max())
                row[f"{key}, averaged"] = float(np.abs(one.mean(0) - other.mean(0)).max() / np.abs(other.mean(0)).max())
    return row


def forward(bench: Bench) -> Row:
    """Windows a second of the networks alone, windows on the device already, by execution and batch."""
    row = {}
    for batch in (1,) if bench.small else (16, 64, 128):
        for name in ["fused"] if bench.small else EXECUTIONS:
            ours = bench.networks(name, batch)
            there = [Window.of(w.start, w.end, ours.feed.upload(w.arrays())) for w in bench.windows(batch)]
            row[f"{name} x {batch}"] = bench.rate(lambda o=ours, t=there: o.embed(t)(), batch)  # type: ignore[misc]
            bench.card.forget()
    return row


def host(bench: Bench) -> Row:
    """Windows a second from host memory to the device and prepared, uint8 as decoded against ready float32."""
    count = 2 if bench.small else 64
    some, ours = bench.windows(count), bench.networks("fused", count)
    ready = torch.empty(count, 30, 112, 112, 3)
    if not bench.small:
        ready = ready.pin_memory()

    def raw() -> None:
        ours._frames([Window.of(w.start, w.end, ours.feed.upload(w.arrays())) for w in some], torch.float32)

    return {
        "uint8, prepared on the device": bench.rate(raw, count),
        "float32 pinned, copied alone": bench.rate(lambda: ready.to(bench.device, non_blocking=True).add_(0), count),
    }


def pool(bench: Bench) -> Row:
    """Windows a second of the decoding processes alone, onto the device; "before": ready float32 windows of four processes."""
    row = {}
    for size in ((340, 256),) if bench.small else ((340, 256), (1280, 720)):
        for workers in (1,) if bench.small else (4, 8, 16):
            feed = bench.networks("fused", 1).feed
            row[f"{size[0]}x{size[1]} x {workers}"] = _decoded(bench, size, workers, feed)
    row["340x256 x 4, before"] = _decoded(bench, (340, 256), 1 if bench.small else 4, None)
    return row


def _decoded(bench: Bench, size: tuple[int, int], workers: int, feed: Any, hardware: Hardware | None = None) -> float:
    """Return the windows a second that come out of a pool, its start left out: the clock runs from the first window."""
    paths = bench.clips(size, 2 if bench.small else 4 * workers, 2 if bench.small else 10)
    started, count = 0.0, 0
    with DecodePool(bench.settings(), workers, feed, hardware) as decoding:
        for items in decoding.clips(paths):
            for item in items:
                started = started or time.perf_counter()
                count += isinstance(item, Window)
    return count / (time.perf_counter() - started)


def hardware(bench: Bench) -> Row:
    """Frames a second of the GPU's decoder in one process and of the CPU's, how much they differ, and pools that use it."""
    [path] = bench.clips((1280, 720), 1, 1 if bench.small else 10)
    row: Row = {}
    if why := None if bench.small else nvdec.trouble():
        raise RuntimeError(why)
    reformat, pictures = Reformat(), {}
    for name in ["CPU"] if bench.small else ["CPU", "NVDEC"]:
        if name == "NVDEC":
            nvdec.start(0)
        with nvdec.reading() if name == "NVDEC" else contextlib.nullcontext():
            started, count = time.perf_counter(), 0
            with open_container(path, pictures=True) as container:
                for frame in decode_video(container, container.streams.video[0], strict=True):
                    count += 1
                    last = frame
            row[f"{name}, frames/s"] = count / (time.perf_counter() - started)
            pictures[name] = reformat(last).astype(int)
    if not bench.small:
        row["levels by which the last picture differs"] = int(np.abs(pictures["CPU"] - pictures["NVDEC"]).max())
        feed = bench.networks("fused", 1).feed
        for on_gpu in (8, 16):
            row[f"340x256 x 16, {on_gpu} on the GPU"] = _decoded(bench, (340, 256), 16, feed, Hardware(0, on_gpu))
    return row


def shard(bench: Bench) -> Row:
    """Windows a second of a whole shard from files to features, and the shares of time in which GPU and cores worked.

    By TF32, and by what `auto` chooses. The start of the processes counts.
    """
    row: Row = {}
    for execution in ("fused",) if bench.small else ("tf32", "auto"):
        row |= {f"{execution}: {key}": value for key, value in _shard(bench, execution).items()}
    return row


def _shard(bench: Bench, execution: str) -> Row:
    paths = bench.clips((340, 256), 2 if bench.small else 25 * bench.threads, 2 if bench.small else 10)
    ours = bench.networks(execution, 2 if bench.small else None)
    busy: list[tuple[Any, Any]] = []
    embed = ours.embed

    def timed(windows: list[Window]) -> Any:
        if bench.small:
            return embed(windows)
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        features = embed(windows)
        after.record()
        busy.append((before, after))
        return features

    ours.embed = timed  # type: ignore[method-assign, assignment]
    clips = [Clip({"clip_id": str(k), "shard": 0, "status": "ok", "path": str(p)}) for k, p in enumerate(paths)]
    started, spent = time.perf_counter(), _children_s()
    extract_clips(clips, ours, bench.settings(), bench.threads)
    seconds = time.perf_counter() - started
    count = sum(len(clip.steps["visual"].times) for clip in clips)
    return {
        "windows/s": count / seconds, "workers": bench.threads, "batch": ours.batch_windows,
        "GPU busy": sum(a.elapsed_time(b) for a, b in busy) / 1000 / seconds,
        "cores busy decoding": (_children_s() - spent) / seconds / bench.threads, **ours.measured,
    }  # fmt: skip


def _children_s() -> float:
    """Return the processor time of the decoding processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def training(bench: Bench) -> Row:
    """Milliseconds of AVCA's step on UCF's sizes: eager, recorded, one seed and eight in one pass."""
    from avzsl.methods import Dims, build
    from avzsl.training.seeds import Seeds, stacked_batch, synthetic_batch

    row = {}
    for tf32 in (False, True):
        for count in (1, 2) if bench.small else (1, 8):
            for recorded in (False, True):
                methods = [build("avca", Dims(512, 512, 300), {}).to(bench.device) for _ in range(count)]
                seeds = Seeds(methods, lr=1e-3, card=bench.card)
                batch = stacked_batch(
                    [synthetic_batch(16 if bench.small else 256, bench.device, k) for k in range(count)]
                )
                with bench.card.float32_as(tf32):
                    step = seeds.recorded(lambda b=batch: b) if recorded else (lambda s=seeds, b=batch: s.step(b))  # type: ignore[misc]
                    name = f"{count} seeds{', recorded' if recorded else ''}{', TF32' if tf32 else ''}"
                    row[name] = 1000 / bench.rate(lambda s=step: [s() for _ in range(10)], 10)  # type: ignore[misc]
    return row


def retrieval(bench: Bench) -> Row:
    """Seconds of one direction of retrieval on VGGSound's test set, on the device."""
    from avzsl.training.ranking import DeviceRanking

    count, classes = (200, 10) if bench.small else (12482, 276)
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, count, 64)).astype(np.float32)
    labels, ranking = np.arange(count) % classes, DeviceRanking(bench.device)
    return {"seconds": 1 / bench.rate(lambda: ranking.among([one], [other], labels, labels, True), 1)}


# Seconds that each part may take: less than six minutes together.
PARTS: dict[Callable[[Bench], Row], int] = {
    machine: 15, matmul: 20, errors: 45, forward: 70, host: 25, pool: 55, hardware: 25, shard: 50, training: 35, retrieval: 15,
}  # fmt: skip


def goals(results: dict[str, Row]) -> Row:
    """Say of every goal what was measured and whether it is met; None where a part gave no number."""
    end, pool, step = (results.get(part, {}) for part in ("shard", "pool", "training"))

    def ratio(one: Any, other: Any) -> float | None:
        return one / other if one and other else None

    busy = end.get("tf32: GPU busy"), end.get("tf32: cores busy decoding")
    found: dict[str, tuple[float | None, bool]] = {
        "GPU busy 0.8, or cores 0.9": (busy[0], bool(busy[0] and busy[1] and (busy[0] >= 0.8 or busy[1] >= 0.9))),
    }
    for name, value, least in (
        ("feeding, at least 8 x before", ratio(pool.get("340x256 x 16"), pool.get("340x256 x 4, before")), 8.0),
        ("recorded step, at least 3 x eager", ratio(step.get("1 seeds"), step.get("1 seeds, recorded")), 3.0),
    ):
        found[name] = (value, value is not None and value >= least)
    eight = ratio(step.get("8 seeds, recorded"), step.get("1 seeds, recorded"))
    found["8 seeds, at most 2 x the time of one"] = (eight, eight is not None and eight <= 2.0)
    return {name: {"measured": value, "met": met} for name, (value, met) in found.items()}


def run(part: str, small: bool, folder: Path, limit: int) -> Row:
    """Run one part in a process of its own; what went wrong is its row."""
    out = folder / f"{part}.json"
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder), "--json", str(out)]
    started = time.monotonic()
    try:
        done = subprocess.run(
            [*command, *(["--small"] if small else [])], timeout=limit, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {limit} s"}
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return {"failed": lines[-1] if lines else f"exit status {done.returncode}"}
    return json.loads(out.read_text()) | {"took_s": round(time.monotonic() - started, 1)}


def main() -> None:
    """Run every part, print a line for each, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("gpu.json"), help="where the numbers go")
    parser.add_argument("--small", action="store_true", help="all parts in small form on a CPU")
    parser.add_argument("--only", nargs="+", choices=[part.__name__ for part in PARTS], help="these parts alone")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        [part] = [one for one in PARTS if one.__name__ == given.part]
        given.json.write_text(json.dumps(part(Bench(given.small, given.folder))))
        return
    results: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name:
        if not given.small:  # before the clock of any part
            bench = Bench(True, Path(name))
            for size, seconds in (((340, 256), 3), ((340, 256), 10), ((1280, 720), 10)):
                bench.clips(size, 1, seconds)
        for part, limit in PARTS.items():
            if given.only and part.__name__ not in given.only:
                continue
            row = run(part.__name__, given.small, Path(name), 10 * limit if given.small else limit)
            results[part.__name__] = row
            shown = ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
            print(f"{part.__name__:10} {shown}", flush=True)
            given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        if not given.only:
            results["goals"] = goals(results)
            for goal, one in results["goals"].items():
                print(f"goal       {goal}: {one['measured']}, {'met' if one['met'] else 'not met'}")
            given.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
