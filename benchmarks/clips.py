"""Clips to measure with."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from extractors.selavi.sound import SAMPLE_RATE


def make_clip(path: Path, seconds: int, seed: int, size: tuple[int, int] = (340, 256)) -> None:
    """Write a clip of `size` (width, height) at 25 frames a second with stereo sound: drifting noise and a warbling tone."""
    rng = np.random.default_rng(seed)
    width, height = size
    ground = rng.integers(0, 256, ((height + 256) // 8, (width + 340) // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = out.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        for k in range(seconds * 25):
            image = np.ascontiguousarray(ground[k % 200 : k % 200 + height, (2 * k) % 300 : (2 * k) % 300 + width])
            out.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(video.encode(None))
        t = np.arange(seconds * SAMPLE_RATE) / SAMPLE_RATE
        wave = 0.2 * np.sin(
            2 * np.pi * (300 + 30 * seed) * t + 20 * np.sin(2 * np.pi * t)
        ) + 0.02 * rng.standard_normal(t.size)
        for start in range(0, t.size - 1023, 1024):
            part = np.stack([wave[start : start + 1024]] * 2).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
