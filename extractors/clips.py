"""Clips -> their steps of features: read in decoding processes, embedded in batches over clips. Imports no pandas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.streams import Stream, as_type
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.runtime.progress import progress
from extractors.base import Features, Networks, Window
from extractors.guarded import Guarded
from extractors.pool import DecodePool, End, Hardware


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
    clips: list[Clip],
    networks: Networks,
    features: FeaturesConfig,
    threads: int,
    *,
    either: bool = False,
    hardware: Hardware | None = None,
    finished: Callable[[Clip], None] | None = None,
) -> None:
    """Read clips whose media are there and embed their windows, batched over clips in their order; fill the clips.

    A clip without sound or without picture is lost, unless `either` will do. `hardware`: a GPU decodes too. `finished` is told of each clip, in order, as
    soon as nothing of it is under way any more.
    """
    batch: list[tuple[Clip, Window]] = []
    # The batch whose features are being computed: where its steps go, not its windows, which are large.
    begun: list[tuple[dict[str, list[tuple[Steps, float, float]]], Features, int]] = []
    # Clips that were read to their end, each with the number of windows, of all clips, after which it is finished.
    ended: list[tuple[int, Clip]] = []
    read = computed = 0
    dims = {"audio": networks.audio_dim, "visual": networks.visual_dim}
    guarded = Guarded(networks)

    def embed() -> None:
        if batch:
            features_of = guarded.embed([window for _, window in batch])
            begun.append(({name: _places(batch, name) for name in MODALITIES}, features_of, len(batch)))
            batch.clear()

    def collect(left: int) -> None:
        nonlocal computed
        while len(begun) > left:
            places, features_of, count = begun.pop(0)
            for name, rows in zip(MODALITIES, features_of(), strict=True):
                for (steps, start, end), values in zip(places[name], rows, strict=True):
                    steps.times.append((start, end))
                    steps.values.append(values)
            computed += count
        while ended and ended[0][0] <= computed:
            _, clip = ended.pop(0)
            if clip.status == "ok" and not (either and any(steps.times for steps in clip.steps.values())):
                _judge(clip, dims)
            if finished is not None:
                finished(clip)

    paths = [Path(clip.row["path"]) for clip in clips]
    with (
        DecodePool(features, threads, getattr(networks, "feed", None), hardware) as pool,
        progress("features", len(clips), "clips") as ticker,
    ):
        for clip, items in zip(clips, pool.clips(paths), strict=True):
            for item in items:
                if isinstance(item, End):
                    clip.end = item
                    ended.append((read, clip))
                else:
                    read += 1
                    batch.append((clip, item))
                    if len(batch) >= guarded.batch_windows:
                        embed()
                        collect(left=1)
            ticker.advance()
        embed()
        collect(left=0)


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


def streams_of(clips: list[Clip], networks: Networks, dtype: str) -> dict[str, Stream]:
    """Return the steps of all clips by modality, none of clips that are lost; raises ConfigError if `dtype` cannot hold them."""
    dims = {"audio": networks.audio_dim, "visual": networks.visual_dim}
    return {name: _stream(clips, name, dim, dtype) for name, dim in dims.items()}


def _stream(clips: list[Clip], name: str, dim: int, dtype: str) -> Stream:
    steps = [clip.steps[name] if clip.status == "ok" else Steps() for clip in clips]
    rows = [row for one in steps for row in one.values]
    values = np.stack(rows) if rows else np.zeros((0, dim), np.float32)
    times = [time for one in steps for time in one.times]
    offsets = np.cumsum([0] + [len(one.times) for one in steps], dtype=np.int64)
    return Stream(as_type(values, dtype), offsets, np.array(times, np.float64).reshape(-1, 2))
