"""CLIP and CLAP: the pipeline against the libraries called plainly in a loop, and shares of the processor's peak.

Called by `benchmarks/extraction.py --features clip-clap`. Plain is what the libraries' pages show: every frame of a clip
decoded, one a second through open_clip's own transform and `encode_image`, ten seconds of sound through transformers'
ClapFeatureExtractor and its model, one after the other. Ours is `clip-clap` with decoding processes beside the networks.
Same clips, same random weights; ratios within rounds, of wall time and of CPU time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from plain_loop import matmul_peak, operations, print_share
from torch.nn.functional import normalize

from avzsl.config.features import FeaturesConfig
from avzsl.pretrained.checkpoints import random_state
from avzsl.pretrained.clap import SoundEncoder
from avzsl.pretrained.clip import PictureEncoder
from avzsl.pretrained.clip_files import LAION, MEAN, STD
from avzsl.runtime.products import affine
from extractors.base import ClipInfo, Window, options_of
from extractors.clip_clap import load, read
from extractors.shards import Clip, extract_clips

SEED = {"random_seed": 0}
EXECUTIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Plain:
    """The libraries' own networks and front ends."""

    def __init__(self) -> None:
        import open_clip
        from transformers import ClapFeatureExtractor

        picture, sound = PictureEncoder(), SoundEncoder(LAION)
        picture.take(random_state(picture.state_dict(), 0))
        sound.take(random_state(sound.template(), 0))
        self.visual, self.tower = picture.visual, sound.tower
        self.transform = open_clip.image_transform(224, is_train=False, mean=MEAN, std=STD)
        self.front = ClapFeatureExtractor(
            frequency_min=50, frequency_max=14000, truncation="rand_trunc", padding="repeatpad"
        )

    @torch.inference_mode()
    def embed(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Return the unit vectors of a clip's pictures (n, 512) and of its first ten seconds of sound (1, 512)."""
        with av.open(str(path)) as container:
            rate = round(float(container.streams.video[0].average_rate or 25))
            frames = [
                frame.to_image() for number, frame in enumerate(container.decode(video=0)) if number % rate == rate // 2
            ]
        with av.open(str(path)) as container:
            resampler = av.AudioResampler(format="s16", layout="mono", rate=LAION.rate)
            pieces = [p for f in container.decode(audio=0) for p in resampler.resample(f)] + resampler.resample(None)
            wave = np.concatenate([p.to_ndarray().reshape(-1) for p in pieces])[: LAION.samples] / 32768.0
        seen = torch.cat([self.visual(self.transform(frame)[None]) for frame in frames])
        given = self.front(wave, sampling_rate=LAION.rate, return_tensors="pt")["input_features"]
        heard = self.tower(input_features=given).audio_embeds
        return normalize(seen, dim=1).numpy(), normalize(heard, dim=1).numpy()

    def operations(self) -> tuple[int, int]:
        """Return the operations of a picture and of ten seconds of sound."""
        torch.backends.mha.set_fastpath_enabled(False)  # nothing counts those of the fused form
        with torch.inference_mode():
            seen = operations(self.visual, torch.zeros(1, 3, 224, 224))
            heard = operations(lambda x: self.tower(input_features=x), torch.zeros(1, 1, 1001, 64))
        torch.backends.mha.set_fastpath_enabled(True)
        return seen, heard


def compare_clip_clap(
    paths: list[Path], rounds: int, threads: int, cpu_seconds: Callable[[], float], cache: Path
) -> None:
    """Print the table."""
    plain, ours = Plain(), {}
    for name in EXECUTIONS:
        values = {"extractor": "clip_clap", "picture_weights": SEED, "sound_weights": SEED, "execution": name}
        settings = FeaturesConfig.model_validate(values)
        ours[name] = settings, load(options_of(settings), "cpu", threads, cache)
    of_picture, of_sound = plain.operations()
    times: dict[str, list[tuple[float, float]]] = {}
    errors = dict.fromkeys(ours, 0.0)
    work = 0

    def timed(name: str, run: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), cpu_seconds()
        found = run()
        times.setdefault(name, []).append((time.perf_counter() - wall, cpu_seconds() - cpu))
        return found

    share = max(len(paths) // rounds, 1)
    for part in (paths[k : k + share] for k in range(0, len(paths), share)):
        expected = timed("plain", lambda part=part: [plain.embed(path) for path in part])
        for name, (settings, networks) in ours.items():
            clips = [Clip({"clip_id": str(k), "shard": 0, "status": "ok", "path": str(p)}) for k, p in enumerate(part)]
            timed(name, lambda c=clips, n=networks, s=settings: extract_clips(c, n, s, threads))
            for clip, (seen, _) in zip(clips, expected, strict=True):
                found = np.stack(clip.steps["visual"].values)
                errors[name] = max(errors[name], float(np.abs(found - seen).max()))
            windows = [w for path in part for w in read(path, options_of(settings), ClipInfo())]
            timed(f"{name} forward", lambda n=networks, w=windows: _forward(n, w))
            pictures = sum(window.visual is not None for window in windows)
            work = of_picture * pictures + of_sound * (len(windows) - pictures)
        print(
            f"round {len(times['plain'])}: " + ", ".join(f"{n} {v[-1][0]:.2f} s" for n, v in times.items()), flush=True
        )
    print(f"\n{'':18} {'s a clip':>9} {'CPU s':>7} {'x plain':>8} {'of CPU s':>9} {'error':>8}")
    for name, values in times.items():
        wall, cpu = (statistics.median(v[k] for v in values) / share for k in (0, 1))
        faster = [statistics.median(p[k] / o[k] for p, o in zip(times["plain"], values, strict=True)) for k in (0, 1)]
        error = f"{errors[name]:8.1e}" if name in errors else ""
        print(f"{name:18} {wall:9.2f} {cpu:7.2f} {faster[0]:8.2f} {faster[1]:9.2f} {error}")
    print("error: the largest difference of a number of a picture's unit vector from the plain one's")
    for name, dtype in EXECUTIONS.items():
        rate = work / statistics.median(value[1] for value in times[f"{name} forward"])
        print_share(f"clip-clap {name}", rate, matmul_peak(cpu_seconds, dtype=dtype, product=affine))


def _forward(networks: Any, windows: list[Window]) -> None:
    for start in range(0, len(windows), networks.batch_windows):
        networks.embed(windows[start : start + networks.batch_windows])()
