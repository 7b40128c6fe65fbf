"""A shard's clips -> steps of features, in two files."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import Stream, as_type, write_streams
from avzsl.contracts.tables import write_table
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.runtime.accelerator import held_card
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
    gpu_jobs: int = 1,
) -> pd.DataFrame:
    """Extract the features of a shard and write its arrays and its FEATURES table; return the table.

    `media` is a MEDIA table; the result has its rows in its order. A clip whose media is not ok becomes `no_media` with
    its status as the reason; a clip that cannot be read gets a status and a reason, never an exception. `threads` cores
    are used by the networks and as many processes decode beside them. `cache` is where downloaded weights live. `gpu_jobs`
    jobs like this one may hold a GPU at a time. Both files are written in one step each, the arrays first.

    Raises ConfigError or DataError for a configuration or weights that cannot be used.
    """
    extractor = find_extractor(features.extractor)
    options = options_of(features)
    clips = [Clip({str(k): v for k, v in row.items()}) for row in media.to_dict("records")]
    readable = [clip for clip in clips if clip.row["status"] == "ok"]
    with held_card("extract", device, gpu_jobs):
        networks = extractor.load(options, device, threads, cache)
        if readable:
            extract_clips(readable, networks, features, threads)
    there = [clip for clip in clips if clip.status == "ok"]
    for row, clip in enumerate(there):
        clip.place = row
    header = {
        "clip_ids": [clip.row["clip_id"] for clip in there],
        "extractor": networks.identity,
        "dtype": features.dtype,
        "measured": networks.measured,
        "versions": {name: version_of(name) or "?" for name in libraries(options)},
    }
    streams = {
        "audio": _stream(there, "audio", networks.audio_dim, features.dtype),
        "visual": _stream(there, "visual", networks.visual_dim, features.dtype),
    }
    write_streams(arrays, streams, header)
    table = pd.DataFrame([clip.columns() for clip in clips], columns=list(FEATURES.columns))
    write_table(manifest, table, FEATURES)
    counts = table["status"].value_counts().to_dict()
    logger.info(
        "%d clips: %s", len(table), ", ".join(f"{n} {status}" for status, n in sorted(counts.items())) or "none"
    )
    return table


@dataclass
class Steps:
    """The steps of one modality of a clip, as they come."""

    values: list[np.ndarray] = field(default_factory=list)
    times: list[tuple[float, float]] = field(default_factory=list)

    def disorder(self) -> str | None:
        """Return what is wrong with the order of the steps, None if they go forward in time."""
        before = float("-inf")
        for start, end in self.times:
            if not before <= start <= end < float("inf"):
                return f"a step from {start:g} to {end:g} s follows one that starts at {before:g} s"
            before = start
        return None


@dataclass
class Clip:
    """A clip on its way through the shard."""

    row: dict[str, Any]  # of the MEDIA table
    end: End | None = None
    place: int = -1
    steps: dict[str, Steps] = field(default_factory=lambda: {name: Steps() for name in MODALITIES})

    @property
    def status(self) -> str:
        return self.end.status if self.end is not None else "no_media"

    def columns(self) -> dict[str, Any]:
        """Return its row of the FEATURES table."""
        columns: dict[str, Any] = {"clip_id": self.row["clip_id"], "shard": self.row["shard"], "status": self.status}
        ok = self.status == "ok"
        columns |= {"row": self.place, "seconds_covered": self.covered() if ok else None}
        columns |= {f"{name}_steps": len(steps.times) if ok else 0 for name, steps in self.steps.items()}
        if self.end is None:
            return columns | {"reason": self.row["status"]}
        return columns | {"reason": self.end.reason} | self.end.info.columns()

    def covered(self) -> float:
        """Return how many seconds of the clip its steps cover, in the modality of which they cover less."""
        return min(covered(steps.times) for steps in self.steps.values() if steps.times)


def covered(times: list[tuple[float, float]]) -> float:
    """Return the length of the union of windows (start, end) that are in order of their start, in seconds."""
    total, reached = 0.0, float("-inf")
    for start, end in times:
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return round(total, 6)


def extract_clips(
    clips: list[Clip], networks: Networks, features: FeaturesConfig, threads: int, *, either: bool = False
) -> None:
    """Read clips whose media are there and embed their windows, batched over clips in their order; fill the clips.

    A clip without sound or without picture is lost, unless `either` will do.
    """
    batch: list[tuple[Clip, Window]] = []
    # The batch whose features are being computed: where its steps go, not its windows, which are large.
    begun: list[tuple[dict[str, list[tuple[Steps, float, float]]], Features]] = []

    def embed() -> None:
        if batch:
            features_of = networks.embed([window for _, window in batch])
            begun.append(({name: _places(batch, name) for name in MODALITIES}, features_of))
            batch.clear()

    def collect(left: int) -> None:
        while len(begun) > left:
            places, features_of = begun.pop(0)
            for name, rows in zip(MODALITIES, features_of(), strict=True):
                for (steps, start, end), values in zip(places[name], rows, strict=True):
                    steps.times.append((start, end))
                    steps.values.append(values)

    paths = [Path(clip.row["path"]) for clip in clips]
    with (
        DecodePool(features, threads, getattr(networks, "feed", None)) as pool,
        progress("features", len(clips), "clips") as ticker,
    ):
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
    dims = {"audio": networks.audio_dim, "visual": networks.visual_dim}
    for clip in clips:
        if clip.status == "ok" and not (either and any(steps.times for steps in clip.steps.values())):
            _judge(clip, dims)


def _places(batch: list[tuple[Clip, Window]], name: str) -> list[tuple[Steps, float, float]]:
    """Return where the steps of one modality go, in the order in which networks give them."""
    return [(clip.steps[name], window.start, window.end) for clip, window in batch if getattr(window, name) is not None]


def _judge(clip: Clip, dims: dict[str, int]) -> None:
    """Take the features from a clip that lacks the steps of a modality, or whose steps go back in time."""
    assert clip.end is not None
    for name, steps in clip.steps.items():
        what = {"audio": "sound", "visual": "picture"}[name]
        if dims[name] and not steps.times:  # an extractor that yields nothing owes a reason
            absent, note = clip.end.info.absent, clip.end.info.note
            clip.end = End(absent or "too_short", (absent and note) or f"it gave no step of {what}", clip.end.info)
            return
        disorder = steps.disorder()
        if disorder:
            clip.end = End("unsupported", f"its steps of {what} go back in time: {disorder}", clip.end.info)
            return


def _stream(clips: list[Clip], name: str, dim: int, dtype: str) -> Stream:
    """Return the steps of one modality of all clips; raises DataError if they do not fit the type."""
    rows = [row for clip in clips for row in clip.steps[name].values]
    values = np.stack(rows) if rows else np.zeros((0, dim), np.float32)
    times = [time for clip in clips for time in clip.steps[name].times]
    offsets = np.cumsum([0] + [len(clip.steps[name].times) for clip in clips], dtype=np.int64)
    return Stream(as_type(values, dtype), offsets, np.array(times, np.float64).reshape(-1, 2))
