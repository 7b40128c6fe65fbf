"""C3D + VGGish and I3D + audio network: the pipeline against a plain loop over windows, and shares of the processor's peak.

Called by `benchmarks/extraction.py --features NAME`. The plain loop reads a clip and runs its windows one after the other
through the networks as torch's modules; ours decodes beside the networks. Same windows, same random weights; ratios within
rounds. A shard holds hundreds of clips, so that starting the decoding processes (they import librosa or Pillow) is no part of
the rate: a few clips are extracted, then the same and more, and the difference counts. What starting takes is printed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avzsl.config.features import FeaturesConfig
from avzsl.pretrained.checkpoints import random_state
from extractors.base import ClipInfo, Window, find_extractor, options_of, pictures, sounds
from extractors.c3d_vggish.networks import C3D, VGGish
from extractors.clips import Clip, extract_clips
from extractors.i3d_audiocnn.audio_network import AudioNetwork
from extractors.i3d_audiocnn.embedding import AUDIOSET_LABELS, scaled
from extractors.i3d_audiocnn.i3d import I3D
from extractors.i3d_audiocnn.windows import place_of

SEED = {"random_seed": 0}
MORE = 3  # times that each clip is read once more, by processes that run already
SETTINGS: dict[str, dict[str, Any]] = {
    "c3d-vggish": {"extractor": "c3d_vggish"},
    "i3d-audiocnn": {"extractor": "i3d_audiocnn"},
}


def matmul_peak(
    clock: Callable[[], float], size: int = 2048, dtype: torch.dtype = torch.float32,
    product: Callable[..., torch.Tensor] = torch.matmul,
) -> float:  # fmt: skip
    """Return this processor's operations a second in products of square matrices, the best of five."""
    a = torch.randn(size, size).to(dtype)
    best = 0.0
    for _ in range(6):
        started = clock()
        product(a, a)
        best = max(best, 2 * size**3 / max(clock() - started, 1e-9))
    return best


def by_onednn(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the transposed product of two square matrices as the 1 x 1 convolution that it is, computed by oneDNN."""
    size = len(a)
    maps, filters = a.T.reshape(1, size, 1, size), b.reshape(size, size, 1, 1)
    return torch.mkldnn_convolution(maps, filters, None, (0, 0), (1, 1), (1, 1), 1)


def operations(network: Callable[..., Any], *inputs: torch.Tensor) -> int:
    """Return the operations of a forward pass as its layers define them, whatever computes them."""
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    return int(counter.get_total_flops())


class Plain:
    """The networks as torch's modules, a window at a time."""

    def __init__(self, features: str, prepare: Callable[[torch.Tensor], torch.Tensor] | None) -> None:
        self._prepare, self._cjme = prepare, features == "i3d-audiocnn"
        self.picture: nn.Module = I3D() if self._cjme else C3D()
        self.sound: nn.Module = AudioNetwork(AUDIOSET_LABELS) if self._cjme else VGGish()
        for network in (self.picture, self.sound):
            state = random_state(network.state_dict(), 0)
            state |= {"band_mean": torch.zeros(128), "band_deviation": torch.ones(128)} if "band_mean" in state else {}
            network.load_state_dict(state)
            network.eval()

    def see(self, frames: np.ndarray) -> torch.Tensor:
        given = torch.from_numpy(frames)
        if self._cjme:
            return self.picture(scaled(given[None]).contiguous())[0].mean(0)
        assert self._prepare is not None
        return self.picture(self._prepare(given)[None].contiguous())[0]

    def hear(self, window: Window) -> torch.Tensor:
        assert window.audio is not None
        found = self.sound(torch.from_numpy(window.audio)[None])[0]
        return found[place_of(window.start)] if self._cjme else found

    @torch.inference_mode()
    def embed(self, windows: list[Window]) -> np.ndarray:
        """Return the mean of the picture features."""
        for window in windows:
            if window.audio is not None:
                self.hear(window)
        return torch.stack([self.see(frames) for frames in pictures(windows)]).mean(0).numpy()


def compare(
    features: str, paths: list[Path], rounds: int, threads: int, clock: Callable[[], float], cache: Path
) -> None:
    """Print the table of one feature set."""
    values = {**SETTINGS[features], "picture_weights": SEED, "sound_weights": SEED}
    settings = FeaturesConfig.model_validate(values)
    options, extractor = options_of(settings), find_extractor(settings.extractor)
    networks: Any = extractor.load(options, "cpu", threads, cache)
    plain = Plain(features, getattr(networks, "_prepare", None))
    share = max(len(paths) // rounds, 1)
    times: dict[str, list[float]] = {"plain": [], "ours": [], "forward": [], "plain forward": [], "starting": []}
    error, work = 0.0, 0
    with torch.inference_mode():
        # MKL keeps to AVX2 on processors that are not Intel's.
        peak = max(matmul_peak(clock), matmul_peak(clock, product=by_onednn))
        first = list(extractor.read(paths[0], options, ClipInfo()))
        pictured = [w for w in first if w.visual is not None][:1]
        heard = [w for w in first if w.audio is not None][-1:]
        of_picture = operations(lambda: plain.embed(pictured))
        of_sound = operations(lambda: plain.hear(heard[0]))
    for part in (paths[k : k + share] for k in range(0, len(paths), share)):
        started = clock()
        expected = [plain.embed(list(extractor.read(path, options, ClipInfo()))) for path in part]
        times["plain"].append(clock() - started)
        few, many = ([path for path in part for _ in range(count)] for count in (threads, threads + MORE))
        seconds = []
        for listed in (few, many):
            clips = [
                Clip({"clip_id": str(k), "shard": 0, "status": "ok", "path": str(p)}) for k, p in enumerate(listed)
            ]
            started = clock()
            extract_clips(clips, networks, settings, threads)
            seconds.append(clock() - started)
        times["ours"].append((seconds[1] - seconds[0]) / MORE)
        times["starting"].append(seconds[0] - threads * times["ours"][-1])
        windows = [w for path in part for w in extractor.read(path, options, ClipInfo())]
        work = of_picture * len(pictures(windows)) + of_sound * len(sounds(windows))
        started = clock()
        networks.embed(windows)()
        times["forward"].append(clock() - started)
        started = clock()
        plain.embed(windows)
        times["plain forward"].append(clock() - started)
        for clip, one in zip(clips[:: len(many) // len(part)], expected, strict=True):
            found = np.mean(clip.steps["visual"].values, axis=0)
            error = max(error, float(np.abs(found - one).max() / np.abs(one).max()))
        print(f"round {len(times['ours'])}: " + ", ".join(f"{n} {v[-1]:.2f} s" for n, v in times.items()), flush=True)
    ratio = statistics.median(p / o for p, o in zip(times["plain"], times["ours"], strict=True))
    alone = statistics.median(p / o for p, o in zip(times["plain forward"], times["forward"], strict=True))
    reached = statistics.median(f / o for f, o in zip(times["forward"], times["ours"], strict=True))
    print(
        f"\n{features}: {ratio:.2f} x plain; forward alone {alone:.2f} x; {reached:.0%} of its forward rate; relative error {error:.1e}; "
        f"starting {threads} decoding processes {statistics.median(times['starting']):.1f} s"
    )
    print_share(features, work / statistics.median(times["forward"]), peak)


def print_share(name: str, rate: float, peak: float) -> None:
    """Print what a forward pass reaches of the processor's own peak."""
    print(
        f"{name}: {rate / 1e9:.0f} of {peak / 1e9:.0f} thousand million operations a second, {rate / peak:.0%} of this processor's products of matrices"
    )


def share_of_selavi(network: Any, windows: list[Window], seconds: float, clock: Callable[[], float], name: str) -> None:
    """Print the same of SeLaVi's trunks; `seconds` a window."""
    with torch.inference_mode():
        video = torch.from_numpy(windows[0].visual).permute(3, 0, 1, 2)[None]
        work = operations(network.trunks.video, video) + operations(
            network.trunks.audio, torch.from_numpy(windows[0].audio)[None]
        )
    print_share(name, work / seconds, matmul_peak(clock))
