"""A shard's clips -> per-window features, in two files."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import write_arrays
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.tables import write_table
from avzsl.runtime.progress import progress
from extractors.base import Features, Networks, Window, find_extractor, options_of
from extractors.key import libraries, version_of
from extractors.pool import DecodePool, End

logger = logging.getLogger(__name__)


def extract_shard(
    media: pd.DataFrame,
    features: FeaturesConfig,
    arrays: Path,
    manifest: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    cache: Path,
) -> pd.DataFrame:
    """Extract the features of a shard and write its arrays and its FEATURES table; return the table.

    `media` is a MEDIA table; the result has its rows in its order. A clip whose media is not ok becomes `no_media` with
    its status as the reason; a clip that cannot be read gets a status and a reason, never an exception. `threads` cores
    are used by the networks and as many processes decode beside them. `cache` is where downloaded weights live. Both
    files are written in one step each, the arrays first.


    Raises ConfigError or DataError for a configuration or weights that cannot be used.
    """
    extractor = find_extractor(features.extractor)
    options = options_of(features)
    networks = extractor.load(options, device, threads, cache)
    clips = [Clip({str(k): v for k, v in row.items()}) for row in media.to_dict("records")]
    readable = [clip for clip in clips if clip.row["status"] == "ok"]
    if readable:
        extract_clips(readable, networks, features, threads)
    there = [clip for clip in clips if clip.status == "ok"]
    for row, clip in enumerate(there):
        clip.place = row
    header = {
        "clip_ids": [clip.row["clip_id"] for clip in there],
        "extractor": networks.identity,
        "measured": networks.measured,
        "versions": {name: version_of(name) or "?" for name in libraries(options)},
    }
    write_arrays(arrays, _arrays(there, networks), header)
    table = pd.DataFrame([clip.columns() for clip in clips], columns=list(FEATURES.columns))
    write_table(manifest, table, FEATURES)
    counts = table["status"].value_counts().to_dict()
    logger.info(
        "%d clips: %s", len(table), ", ".join(f"{n} {status}" for status, n in sorted(counts.items())) or "none"
    )
    return table


@dataclass
class Clip:
    """A clip on its way through the shard."""

    row: dict[str, Any]  # of the MEDIA table
    end: End | None = None
    place: int = -1
    times: list[tuple[float, float]] = field(default_factory=list)
    audio: list[np.ndarray] = field(default_factory=list)
    visual: list[np.ndarray] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.end.status if self.end is not None else "no_media"

    def columns(self) -> dict[str, Any]:
        """Return its row of the FEATURES table."""
        columns: dict[str, Any] = {"clip_id": self.row["clip_id"], "shard": self.row["shard"], "status": self.status}
        ok = self.status == "ok"
        windows = len(self.times) if ok else 0
        columns |= {"row": self.place, "windows": windows, "seconds_covered": covered(self.times) if ok else None}
        if self.end is None:
            return columns | {"reason": self.row["status"]}
        return columns | {"reason": self.end.reason} | self.end.info.columns()


def covered(times: list[tuple[float, float]]) -> float:
    """Return the length of the union of windows (start, end) that are in order of their start, in seconds."""
    total, reached = 0.0, float("-inf")
    for start, end in times:
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return round(total, 6)


def extract_clips(clips: list[Clip], networks: Networks, features: FeaturesConfig, threads: int) -> None:
    """Read clips whose media are there and embed their windows, batched over clips in their order; fill the clips."""
    batch: list[tuple[Clip, Window]] = []
    # The batch whose features are being computed: its clips and times, not its windows, which are large.
    begun: list[tuple[list[tuple[Clip, float, float]], Features]] = []

    def embed() -> None:
        if batch:
            features_of = networks.embed([window for _, window in batch])
            begun.append(([(clip, window.start, window.end) for clip, window in batch], features_of))
            batch.clear()

    def collect(left: int) -> None:
        while len(begun) > left:
            places, features_of = begun.pop(0)
            for (clip, start, end), sound, picture in zip(places, *features_of(), strict=True):
                clip.times.append((start, end))
                clip.audio.append(sound)
                clip.visual.append(picture)

    paths = [Path(clip.row["path"]) for clip in clips]
    with DecodePool(features, threads) as pool, progress("features", len(clips), "clips") as ticker:
        for clip, items in zip(clips, pool.clips(paths), strict=True):
            for item in items:
                if isinstance(item, End):
                    clip.end = item
                else:
                    batch.append((clip, item))
                    if len(batch) >= networks.batch_windows:
                        embed()
                        collect(left=1)
            ticker.advance()
        embed()
        collect(left=0)
    for clip in clips:
        if clip.status == "ok" and not clip.times:  # an extractor that yields nothing owes a reason
            assert clip.end is not None
            clip.end = End("too_short", "it gave no window", clip.end.info)


def _arrays(clips: list[Clip], networks: Networks) -> dict[str, np.ndarray]:
    """Return the arrays of a shard file (docs/architecture.md)."""
    return {
        "audio": _rows([row for clip in clips for row in clip.audio], networks.audio_dim),
        "visual": _rows([row for clip in clips for row in clip.visual], networks.visual_dim),
        "offsets": np.cumsum([0] + [len(clip.times) for clip in clips], dtype=np.int64),
        "times": np.array([time for clip in clips for time in clip.times], np.float64).reshape(-1, 2),
    }


def _rows(rows: list[np.ndarray], dim: int) -> np.ndarray:
    return np.stack(rows).astype(np.float32, copy=False) if rows else np.zeros((0, dim), np.float32)
