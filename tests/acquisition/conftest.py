"""Media files made on the spot, and shards of them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from avzsl.config.dataset import DatasetConfig

RATE = 16000


def write_clip(
    path: Path, seconds: float = 1.0, fps: int = 25, audio: bool = True, video: bool = True, size: int = 64, faststart: bool = False,
    gop: int = 12,
) -> Path:  # fmt: skip
    """Write a clip whose picture counts time (grey level = 4 x frame number mod 256) and whose sound is a click each half second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", container_options=options, format=None if path.suffix else "mp4") as out:
        if video:
            picture = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "g": str(gop), "crf": "12"})
            picture.width = picture.height = size
            picture.pix_fmt = "yuv420p"
        if audio:
            sound = out.add_stream("aac", rate=RATE, layout="mono")
        if video:
            for i in range(max(1, round(seconds * fps))):
                frame = av.VideoFrame.from_ndarray(np.full((size, size), 16 + (i * 4) % 220, np.uint8), format="gray")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = i, Fraction(1, fps)
                out.mux(picture.encode(frame))
            out.mux(picture.encode())
        if audio:
            t = np.arange(round(seconds * RATE))
            wave = np.where(t % (RATE // 2) < 160, 0.8 * np.sin(t * 0.7), 0.0).astype(np.float32)
            for start in range(0, len(wave), 1024):
                part = wave[None, start : start + 1024]
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture(scope="session")
def good_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "good.mp4", seconds=1.0, faststart=True)


def folder_clips(paths: list[str], **columns: object) -> pd.DataFrame:
    """A CLIPS table of whole files."""
    frame = pd.DataFrame({"clip_id": paths, "path": paths, "source_id": paths})
    frame["dataset"], frame["class_name"], frame["shard"] = "mine", "a class", 0
    for name, value in columns.items():
        frame[name] = value
    return frame


@pytest.fixture(scope="session")
def make_clips() -> Callable[..., pd.DataFrame]:
    return folder_clips


@pytest.fixture
def make_dataset() -> Callable[..., DatasetConfig]:
    def make(*sources: dict[str, object], catalog: dict[str, object] | None = None, **media: object) -> DatasetConfig:
        return DatasetConfig.model_validate(
            {
                "catalog": catalog or {"module": "folder"},
                "sources": sources,
                "media": media,
                "embeddings": {"table": "demo"},
            }
        )

    return make
