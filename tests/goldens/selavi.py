"""SeLaVi's inputs: window plans, spectrograms, pictures, and the windows of clips that are written without loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np

from extractors.base import ClipInfo, Window
from extractors.selavi.picture import resize_and_crop
from extractors.selavi.plan import plan_released, released_frame_index
from extractors.selavi.released import read_released
from extractors.selavi.sound import SAMPLE_RATE, filterbank, log_filterbank
from extractors.selavi.uniform import read_uniform
from tests.goldens.digest import digest, lines

RATES = ("24000/1001", "25", "30000/1001", "30", "15", "12", "10", "50", "60000/1001", "60", "8.3")
SIZES = ((90, 160), (240, 320), (321, 200), (112, 150), (480, 270), (113, 112))


def _signals() -> Iterator[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(31)
    t = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    yield "noise", (6000 * rng.standard_normal(SAMPLE_RATE)).clip(-32768, 32767)
    yield "tones", 9000 * np.sin(2 * np.pi * 330 * t) + 4000 * np.sin(2 * np.pi * 4100 * t)
    yield "sweep", 12000 * np.sin(2 * np.pi * (100 + 5000 * t) * t)
    yield "clicks", 30000.0 * (np.arange(SAMPLE_RATE) % 4410 == 7)
    yield "short", 5000 * rng.standard_normal(13001)
    yield "sample", np.asarray([123.0])
    yield "silence", np.zeros(SAMPLE_RATE)


def write_lossless(
    path: Path, *, seconds: float, fps: str, size: tuple[int, int], rate: int, layout: str, late: float = 0.0
) -> None:
    """Write a clip whose colours and tones move, in codecs that give back what they were given.

    `late`: seconds by which the picture begins after the sound.
    """
    height, width = size
    rng = np.random.default_rng(32)
    channels = 1 if layout == "mono" else 2
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("qtrle", rate=Fraction(fps))
        video.width, video.height, video.pix_fmt = width, height, "rgb24"
        video.codec_context.time_base = Fraction(1, 90000)
        sound: Any = out.add_stream("pcm_s16le", rate=rate, layout=layout)
        y, x = np.mgrid[:height, :width]
        for k in range(round(seconds * Fraction(fps))):
            red = 120 + 100 * np.sin(x / 17 + k / 5)
            pixels = np.stack([red, (y * 255 / height + 3 * k) % 256, (x + y + 7 * k) % 256], -1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round((late + k / Fraction(fps)) * 90000), Fraction(1, 90000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        t = np.arange(round(seconds * rate)) / rate
        waves = [
            8000 * np.sin(2 * np.pi * (300 + 250 * c + 400 * t) * t) + 500 * rng.standard_normal(len(t))
            for c in range(channels)
        ]
        samples = np.stack(waves, 1).astype(np.int16)
        for start in range(0, len(samples), 1024):
            piece = np.ascontiguousarray(samples[start : start + 1024].reshape(1, -1))
            block = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
            block.sample_rate, block.pts, block.time_base = rate, start, Fraction(1, rate)
            out.mux(sound.encode(block))
        out.mux(sound.encode(None))


CLIPS: dict[str, dict[str, Any]] = {
    "2.4 s, 25": {"seconds": 2.4, "fps": "25", "size": (90, 120), "rate": 44100, "layout": "mono"},
    "3.1 s, 30000/1001, stereo, 48 kHz": {"seconds": 3.1, "fps": "30000/1001", "size": (120, 90), "rate": 48000, "layout": "stereo"},
    "2.6 s, picture 0.3 s late": {"seconds": 2.6, "fps": "15", "size": (90, 120), "rate": 44100, "layout": "mono", "late": 0.3},
}  # fmt: skip


def _window(window: Window) -> dict[str, Any]:
    return {"start": window.start, "end": window.end, "sound": digest(window.audio), "picture": digest(window.visual)}


def windows(read: Any, path: Path) -> dict[str, Any]:
    """Return all windows of a clip and what was noted about it."""
    info = ClipInfo()
    with closing(iter(read(path, info))) as found:
        return {
            "windows": [_window(w) for w in found],
            "info": {key: getattr(info, key) for key in ("duration_s", "fps", "frames", "audio_samples")},
        }


def values() -> dict[str, Any]:
    """Return the numbers of all parts."""
    plans = [
        (rate, frames, [w.start_frame for w in plan_released(float(Fraction(rate)), frames)])
        for rate in RATES
        for frames in (0, 20, 59, 61, 90, 133, 250, 275, 299, 331, 700, 1501)
    ]
    ends = [(w.start_s, w.end_frame) for w in plan_released(float(Fraction("30000/1001")), 331)]
    rng = np.random.default_rng(33)
    frames = {size: rng.integers(0, 256, (*size, 3), np.uint8) for size in SIZES}
    found: dict[str, Any] = {
        "plans": lines(plans),
        "plan_seconds": digest(ends),
        "frame_index": {rate: released_frame_index(float(Fraction(rate))).tolist() for rate in RATES},
        "filterbank": digest(filterbank()),
        "spectrograms": {name: digest(log_filterbank(s.astype(np.int16))) for name, s in _signals()},
        "pictures": {f"{h}x{w}": digest(resize_and_crop(f)) for (h, w), f in frames.items()},
        "pictures_released": {f"{h}x{w}": digest(resize_and_crop(f, released=True)) for (h, w), f in frames.items()},
    }
    with TemporaryDirectory() as folder:
        for name, options in CLIPS.items():
            path = Path(folder) / "clip.mov"
            write_lossless(path, **options)
            for kind, read in (("released", read_released), ("uniform", read_uniform)):
                found[f"{name}: {kind}"] = windows(read, path)
    return found
