"""The log-mel of clips, read once by decoding processes and kept on the disk as float16 while the audio network is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import write_arrays
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.hashing import sha256_value
from avzsl.contracts.mapped import map_arrays
from avzsl.runtime.progress import progress
from extractors.base import Window
from extractors.i3d_audiocnn.training_clips import HeardClip
from extractors.pool import DecodePool

HEARING = FeaturesConfig(extractor="extractors.i3d_audiocnn.hearing")
PIECE = 256  # clips of a file


@dataclass
class Spectrograms:
    """dB frames float16 (n, 128) by clip id, on the disk, and the reasons of clips that have none."""

    frames: dict[str, np.ndarray] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def read_spectrograms(clips: Sequence[HeardClip], folder: Path, threads: int) -> Spectrograms:
    """Read the sound of clips, `PIECE` a file; files of an earlier, killed job are taken over where they hold the same clips."""
    found = Spectrograms()
    with progress("spectrograms", len(clips), "clips") as ticker:
        for number, start in enumerate(range(0, len(clips), PIECE)):
            part = clips[start : start + PIECE]
            path, key = folder / f"{number:05d}.safetensors", sha256_value([(c.clip_id, c.sha256) for c in part])
            held = _held(path, key)
            if held is None:
                _read(part, path, key, threads)
                held = _held(path, key)
                assert held is not None
            arrays, failed = held
            found.frames |= {c.clip_id: arrays[str(i)] for i, c in enumerate(part) if str(i) in arrays}
            found.failed |= failed
            ticker.advance(len(part))
    return found


def _held(path: Path, key: str) -> tuple[Mapping[str, np.ndarray], dict[str, str]] | None:
    if not path.is_file():
        return None
    try:
        arrays, header = map_arrays(path)
    except AvzslError:  # of a job that was killed; it is written again
        return None
    return (arrays, header["failed"]) if header.get("key") == key else None


def _read(clips: Sequence[HeardClip], path: Path, key: str, threads: int) -> None:
    arrays: dict[str, np.ndarray] = {}
    failed: dict[str, str] = {}
    with DecodePool(HEARING, threads) as pool:
        for number, items in enumerate(pool.clips([clip.path for clip in clips])):
            for item in items:
                if isinstance(item, Window):
                    assert item.audio is not None
                    arrays[str(number)] = item.audio
                elif item.status != "ok":
                    failed[clips[number].clip_id] = f"{item.status}: {item.reason}"
    write_arrays(path, arrays, {"key": key, "failed": failed})
