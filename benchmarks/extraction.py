"""How fast features are extracted: a plain implementation and every execution of ours, side by side.

    python benchmarks/extraction.py --threads 2

makes 20 ten-second clips, then times in turn, on the same few clips in every round:

    (a) plain       the released procedure as it is described: every window decoded on its own, the whole sound decoded
                    for every window, one window at a time through torchvision's modules
    (b) exact       ours, the same arithmetic
    (c) fused       ours, BatchNorm folded and convolutions split, float32
    (d) bfloat16    ours, 16 bits in the video trunk
        openvino    ours, the video trunk run by OpenVINO, in both precisions (where it is installed)
    (e) forward     the forward pass alone on ready tensors, for each of our executions

`--features c3d-vggish` or `i3d-audiocnn` compares those with a plain loop over windows (benchmarks/plain_loop.py),
`clip-clap` with the libraries called plainly (benchmarks/clip_clap.py), in wall time and CPU time. Every
feature set says which share of this processor's own products of matrices its forward pass reaches.

It prints medians over rounds, ratios to (a), the share of the forward-only rate that is reached end to end, and the error
against (a). All use random weights and the as-released windows, so that the work is the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from clip_clap import compare_clip_clap
from clips import make_clip
from plain_loop import compare, share_of_selavi

from avzsl.config.features import FeaturesConfig
from extractors.base import ClipInfo, Window, options_of
from extractors.clips import Clip, extract_clips
from extractors.selavi import load, read
from extractors.selavi.networks import SelaviNetworks
from extractors.selavi.plan import plan_released, released_frame_index
from extractors.selavi.sound import SAMPLE_RATE, log_filterbank


def plain(path: Path, networks: SelaviNetworks) -> np.ndarray:
    """Return the averaged visual features of a clip the plain way; `networks` are only asked for their modules."""
    rows = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps, ticks = float(stream.average_rate), stream.duration / stream.frames
        plan = plan_released(fps, stream.frames)
    for window in plan:
        first, last = int(window.start_frame * ticks), int(window.end_frame * ticks)
        frames = {}
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            container.seek(max(first - 1024, 0), stream=stream)
            for frame in container.decode(video=0):
                if frame.pts >= first:
                    frames[frame.pts] = frame
                if frame.pts > last:
                    break
        shown = [frames[pts].to_ndarray(format="rgb24") for pts in sorted(frames)]
        index = np.minimum(released_frame_index(fps), len(shown) - 1)
        clip = (torch.from_numpy(np.stack([shown[k] for k in index])).float() / 255 - 0.45) / 0.225
        height, width = clip.shape[1:3]
        size = (112, width * 112 // height)
        clip = torch.nn.functional.interpolate(
            clip.permute(0, 3, 1, 2), size=size, mode="bilinear", align_corners=False
        )
        left = -(-(clip.shape[3] - 112) // 2)
        clip = clip[:, :, :, left : left + 112].permute(1, 0, 2, 3).contiguous()
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            pieces = [p for f in container.decode(audio=0) for p in resampler.resample(f)] + resampler.resample(None)
            wav = np.concatenate([p.to_ndarray().reshape(-1) for p in pieces])
        start = min(round(window.start_s * SAMPLE_RATE), len(wav) - SAMPLE_RATE)
        spectrogram = torch.from_numpy(log_filterbank(wav[start : start + SAMPLE_RATE]))
        with torch.inference_mode():
            networks.trunks.audio(spectrogram[None])
            rows.append(networks.trunks.video(clip[None])[0].numpy())
    return np.mean(rows, axis=0)


def ours(paths: list[Path], networks: SelaviNetworks, features: FeaturesConfig, threads: int) -> list[np.ndarray]:
    """Return each clip's averaged visual features by the pipeline, decoding processes included."""
    clips = [Clip({"clip_id": str(k), "shard": 0, "status": "ok", "path": str(p)}) for k, p in enumerate(paths)]
    extract_clips(clips, networks, features, threads)
    return [np.mean(clip.steps["visual"].values, axis=0) for clip in clips]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", default="selavi", choices=["selavi", "c3d-vggish", "i3d-audiocnn", "clip-clap"])
    parser.add_argument("--clips", type=int, help="default: SeLaVi 20, clip-clap 16, others 4")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=4, help="the clips are shared out over rounds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds, the fair clock of a busy machine")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    arguments = parser.parse_args()
    clips = arguments.clips or {"selavi": 20, "clip-clap": 16}.get(arguments.features, 4)
    if arguments.features != "selavi":
        torch.set_num_threads(arguments.threads)
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / f"{k}.mp4" for k in range(clips)]
            for k, path in enumerate(paths):
                make_clip(path, min(arguments.seconds, 10), k)
            if arguments.features == "clip-clap":
                compare_clip_clap(paths, arguments.rounds, arguments.threads, cpu_seconds, Path(folder))
                return
            clock = cpu_seconds if arguments.cpu_time else time.perf_counter
            compare(arguments.features, paths, arguments.rounds, arguments.threads, clock, Path(folder))
        return
    executions = {name: {"execution": name} for name in ("exact", "fused", "bfloat16")}
    if arguments.device == "cuda":
        executions["half"] = {"execution": "half"}
    elif importlib.util.find_spec("openvino"):
        for name in ("fused", "bfloat16"):
            executions[f"openvino {name}"] = {"execution": name, "backend": "openvino"}
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{k}.mp4" for k in range(clips)]
        for k, path in enumerate(paths):
            make_clip(path, arguments.seconds, k)
        settings = {
            name: FeaturesConfig.model_validate({"windows": "as_released", "weights": {"random_seed": 0}, **execution})
            for name, execution in executions.items()
        }
        networks = {
            name: load(options_of(settings[name]), arguments.device, arguments.threads, Path(folder))
            for name in executions
        }
        reference = load(options_of(settings["exact"]), "cpu", arguments.threads, Path(folder))
        clock = cpu_seconds if arguments.cpu_time else time.perf_counter
        times, errors, windows = measure(
            paths, settings, networks, reference, arguments.rounds, arguments.threads, clock
        )
        first = list(read(paths[0], options_of(settings["exact"]), ClipInfo()))
    report(times, errors, windows, arguments.json)
    for name in executions:
        share_of_selavi(reference, first, statistics.median(times[f"{name} forward"]), clock, f"selavi {name}")


def measure(
    paths: list[Path],
    settings: dict[str, FeaturesConfig],
    networks: dict[str, SelaviNetworks],
    reference: SelaviNetworks,
    rounds: int,
    threads: int,
    clock: Callable[[], float],
) -> tuple[dict[str, list[float]], dict[str, float], int]:
    """Return seconds a window of every way in every round, the largest relative errors, and the windows of a round."""
    times: dict[str, list[float]] = {}
    errors: dict[str, float] = {}
    share = max(len(paths) // rounds, 1)
    windows: list[Window] = []
    for part in (paths[k : k + share] for k in range(0, len(paths), share)):
        windows = [w for path in part for w in read(path, options_of(settings["exact"]), ClipInfo())]

        def timed(name: str, work: Callable[[], object], count: int = len(windows)) -> object:
            started = clock()
            result = work()
            times.setdefault(name, []).append((clock() - started) / count)
            return result

        expected = timed("plain", lambda part=part: [plain(path, reference) for path in part])
        for name, network in networks.items():
            found = timed(name, lambda part=part, n=name: ours(part, networks[n], settings[n], threads))
            timed(f"{name} forward", lambda n=network, w=windows: forward(n, w))
            for one, other in zip(found, expected, strict=True):
                errors[name] = max(errors.get(name, 0.0), float(np.abs(one - other).max() / np.abs(other).max()))
        print(f"round {len(times['plain'])}: " + ", ".join(f"{n} {v[-1]:.3f}" for n, v in times.items()), flush=True)
    return times, errors, len(windows)


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of the decoding processes that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def forward(network: SelaviNetworks, windows: list[Window]) -> None:
    """Run the networks on windows that are ready, in the batches that the pipeline makes."""
    for start in range(0, len(windows), network.batch_windows):
        network.embed(windows[start : start + network.batch_windows])()


def report(times: dict[str, list[float]], errors: dict[str, float], windows: int, path: Path | None) -> None:
    """Print medians, ratios and errors."""
    median = {name: statistics.median(values) for name, values in times.items()}
    rows = {}
    print(f"\n{'':17} {'s/window':>9} {'x plain':>8} {'forward only':>13} {'of its rate':>12} {'relative error':>15}")
    print(f"{'plain':17} {median['plain']:9.3f} {1:8.2f}")
    for name, error in errors.items():
        alone = median[f"{name} forward"]
        # Compared within each round: the machine may be slower in one round than in another.
        ratio = statistics.median(p / o for p, o in zip(times["plain"], times[name], strict=True))
        reached = statistics.median(f / o for f, o in zip(times[f"{name} forward"], times[name], strict=True))
        rows[name] = {
            "seconds": median[name],
            "times_plain": ratio,
            "forward": alone,
            "of_forward": reached,
            "error": error,
        }
        print(f"{name:17} {median[name]:9.3f} {ratio:8.2f} {alone:13.3f} {reached:11.0%} {error:15.1e}")
    print(f"\n{len(times['plain'])} rounds of {windows} windows; medians of seconds a window, ratios within each round")
    if path is not None:
        path.write_text(json.dumps({"plain": median["plain"], "ours": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
