"""How fast CLIP and CLAP are extracted: the libraries called plainly in a loop, and the pipeline, side by side.

    python benchmarks/clip_clap.py --threads 2

makes clips, then in every round embeds the same few both ways, with the same seeded random weights. Plain is what the
libraries' pages show: every frame of a clip decoded, one a second through open_clip's own transform and `encode_image`, ten
seconds of sound through transformers' ClapFeatureExtractor and its model, one after the other. Prints medians over rounds,
ratios within each round, the largest difference of a unit vector, and the processor.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from avzsl.config.features import FeaturesConfig
from avzsl.pretrained.clip_files import LAION, MEAN, STD
from benchmarks.extraction import make_clip
from extractors.base import options_of
from extractors.clip_clap import load
from extractors.shards import Clip, extract_clips


def plain(path: Path, networks: Any, transform: Any, extractor: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the unit vectors of a clip's pictures and of its sound, by the libraries alone."""
    with av.open(str(path)) as container:
        rate = round(float(container.streams.video[0].average_rate))
        frames = [
            frame.to_image() for number, frame in enumerate(container.decode(video=0)) if number % rate == rate // 2
        ]
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=LAION.rate)
        pieces = [p for f in container.decode(audio=0) for p in resampler.resample(f)] + resampler.resample(None)
        wave = np.concatenate([p.to_ndarray().reshape(-1) for p in pieces])[: LAION.samples] / 32768.0
    with torch.inference_mode():
        seen = [networks._picture.visual(transform(frame)[None])[0] for frame in frames]
        given = extractor(wave, sampling_rate=LAION.rate, return_tensors="pt")["input_features"]
        heard = networks._sound.tower(input_features=given).audio_embeds
    return (
        torch.nn.functional.normalize(torch.stack(seen), dim=1).numpy(),
        torch.nn.functional.normalize(heard, dim=1).numpy(),
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clips", type=int, default=2, help="in each round")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    arguments = parser.parse_args()
    import open_clip
    from transformers import ClapFeatureExtractor

    torch.set_num_threads(arguments.threads)
    transform = open_clip.image_transform(224, is_train=False, mean=MEAN, std=STD)
    extractor = ClapFeatureExtractor(
        frequency_min=50, frequency_max=14000, truncation="rand_trunc", padding="repeatpad"
    )
    seeded = {"picture_weights": {"random_seed": 0}, "sound_weights": {"random_seed": 0}}
    features = FeaturesConfig.model_validate({"extractor": "clip_clap", **seeded})
    times: dict[str, list[float]] = {"plain": [], "ours": []}
    error = 0.0
    with tempfile.TemporaryDirectory() as folder:
        networks = load(options_of(features), "cpu", arguments.threads, Path(folder))
        for number in range(arguments.rounds):
            paths = [Path(folder) / f"{number}-{k}.mp4" for k in range(arguments.clips)]
            for k, path in enumerate(paths):
                make_clip(path, arguments.seconds, number * arguments.clips + k)
            started = time.perf_counter()
            expected = [plain(path, networks, transform, extractor) for path in paths]
            times["plain"].append((time.perf_counter() - started) / len(paths))
            clips = [Clip({"clip_id": str(k), "shard": 0, "status": "ok", "path": str(p)}) for k, p in enumerate(paths)]
            started = time.perf_counter()
            extract_clips(clips, networks, features, arguments.threads, either=True)
            times["ours"].append((time.perf_counter() - started) / len(paths))
            for clip, (seen, _) in zip(clips, expected, strict=True):
                found = np.stack(clip.steps["visual"].values)
                count = min(len(found), len(seen))
                error = max(error, float(np.abs(found[:count] - seen[:count]).max()))
            print(
                f"round {number + 1}: "
                + ", ".join(f"{name} {values[-1]:.2f} s a clip" for name, values in times.items()),
                flush=True,
            )
    median = {name: statistics.median(values) for name, values in times.items()}
    ratio = statistics.median(p / o for p, o in zip(times["plain"], times["ours"], strict=True))
    print(
        f"\nplain {median['plain']:.2f}, ours {median['ours']:.2f} seconds a clip of {arguments.seconds} s; {ratio:.2f} x plain"
    )
    print(
        f"largest difference of a picture's unit vector: {error:.1e}; {arguments.rounds} rounds; {processor()}, {arguments.threads} threads"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({**median, "times_plain": ratio, "error": error}) + "\n", encoding="utf-8")


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"


if __name__ == "__main__":
    main()
