"""Small clips made on the spot, and the golden numbers of the reference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `plugin.scripted` importable, here and in decoding processes."""
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes a clip whose pixels and samples tell the time (see `write_clip`)."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str = "clip.mp4", **options: Any) -> Path:
        path = folder / f"{abs(hash(repr(sorted(options.items()))))}-{name}"
        if not path.exists():
            write_clip(path, **options)
        return path

    return make


def write_clip(
    path: Path, *, seconds: float = 1.2, audio_seconds: float | None = None, fps: Fraction | int = 30, size: tuple[int, int] = (64, 48),
    rate: int = 44100, layout: str = "mono", audio: bool = True, video: bool = True, codec: str = "libx264", b_frames: int = 0,
    audio_codec: str = "aac", picture: Callable[[float], np.ndarray] | None = None, options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None, times: list[float] | None = None, loud: Callable[[np.ndarray], np.ndarray] | None = None,
) -> None:  # fmt: skip
    """Write a clip: grey level (time in tenths of a second) x 20, a tone with an amplitude of 8000 by default."""
    width, height = size
    with av.open(str(path), "w") as out:
        if video:
            stream: Any = out.add_stream(codec, rate=fps, options=options if options is not None else {"crf": "10"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.max_b_frames = b_frames
            stream.codec_context.time_base = Fraction(1, 90000) if times else 1 / Fraction(fps)
            for name, value in (tags or {}).items():
                setattr(stream.codec_context, name, value)
        if audio:
            sound: Any = out.add_stream(audio_codec, rate=rate, layout=layout)
        if video:
            moments = times if times is not None else [k / float(fps) for k in range(round(seconds * float(fps)))]
            for k, moment in enumerate(moments):
                level = np.full((height, width, 3), int(moment * 10) * 20 % 256, np.uint8)
                frame = av.VideoFrame.from_ndarray(level if picture is None else picture(moment), format="rgb24")
                frame.pts = round(moment * 90000) if times else k
                frame.time_base = stream.codec_context.time_base
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        if audio:
            length = seconds if audio_seconds is None else audio_seconds
            t = np.arange(round(length * rate)) / rate
            wave = 8000 * np.sin(2 * np.pi * 440 * t) if loud is None else loud(t)
            channels = sound.codec_context.layout.nb_channels
            resampler = av.AudioResampler(format=sound.codec_context.format, layout=layout, rate=rate)
            samples = np.repeat(wave.astype(np.int16)[None], channels, 0)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            fifo = av.AudioFifo()
            for piece in resampler.resample(frame):
                fifo.write(piece)
            while fifo.samples:
                count = sound.codec_context.frame_size or 1024
                out.mux(sound.encode(fifo.read(min(count, fifo.samples))))
            with contextlib.suppress(av.EOFError):
                out.mux(sound.encode(None))
