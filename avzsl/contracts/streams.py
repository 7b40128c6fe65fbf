"""Sequences of features: a stream of sound and a stream of picture, each with its own steps and times.

A step is one feature vector of one modality with the seconds it covers. A file of streams holds, for every clip, its
steps of both; a shard of features and the steps of a whole data set are such files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.mapped import map_arrays
from avzsl.contracts.vocabulary import MODALITIES

# What the features may be stored as.
DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Stream:
    """The steps of one modality of several clips.

    `values` (steps, dim) float32 or float16; those of the clip with row r are `values[offsets[r]:offsets[r + 1]]`, with
    `offsets` (clips + 1) int64; `times` (steps, 2) float64 are start and end of each step in seconds of its clip.
    """

    values: np.ndarray
    offsets: np.ndarray
    times: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Return the number of steps of each clip, (clips,)."""
        return np.diff(self.offsets)

    def clip(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return values and times of one clip."""
        part = slice(int(self.offsets[row]), int(self.offsets[row + 1]))
        return self.values[part], self.times[part]


def shared(streams: Mapping[str, Stream]) -> bool:
    """Whether sound and picture have the same steps, as those of paired windows do."""
    audio, visual = streams["audio"], streams["visual"]
    return np.array_equal(audio.offsets, visual.offsets) and np.array_equal(audio.times, visual.times)


def as_type(values: np.ndarray, dtype: str) -> np.ndarray:
    """Return features as `dtype`; raises ConfigError if 16 bits cannot hold them."""
    with np.errstate(over="ignore"):
        stored = values.astype(dtype, copy=False)
    if dtype == "float16" and not np.array_equal(np.isfinite(stored), np.isfinite(values)):
        raise ConfigError(
            f"features: dtype: a feature of {np.nanmax(np.abs(values)):g} does not fit in float16; use float32"
        )
    return stored


def write_streams(path: str | Path, streams: Mapping[str, Stream], header: dict[str, Any]) -> None:
    """Write `audio` and `visual` streams; steps that both share are stored once, as `offsets` and `times`."""
    arrays = {name: stream.values for name, stream in streams.items()}
    if shared(streams):
        arrays |= {"offsets": streams["audio"].offsets, "times": streams["audio"].times}
    else:
        for name, stream in streams.items():
            arrays |= {f"{name}_offsets": stream.offsets, f"{name}_times": stream.times}
    write_arrays(path, arrays, header)


def read_streams(path: str | Path) -> tuple[dict[str, Stream], dict[str, Any]]:
    """Read a file of streams and its header; every byte is verified.

    Raises DataError that names the file if it holds something else, CorruptError if it is not as it was written.
    """
    arrays, header = read_arrays(path)
    return _streams(Path(path), arrays, header), header


def map_streams(path: str | Path) -> tuple[dict[str, Stream], dict[str, Any]]:
    """Open a file of streams whose values stay on the disk; offsets and times are in memory. See `map_arrays`."""
    arrays, header = map_arrays(path)
    held = {name: array if name in MODALITIES else np.array(array) for name, array in arrays.items()}
    return _streams(Path(path), held, header), header


def _streams(path: Path, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> dict[str, Stream]:
    clips = header.get("clip_ids")
    streams = {}
    for name in MODALITIES:
        keys = ("offsets", "times") if "offsets" in arrays else (f"{name}_offsets", f"{name}_times")
        if clips is None or {name, *keys} - set(arrays):
            raise DataError(path, "holds no steps of features; delete it and run again")
        stream = Stream(arrays[name], *(arrays[key] for key in keys))
        fault = _fault(stream, len(clips))
        if fault:
            raise DataError(path, f"{name}: {fault}; delete it and run again")
        streams[name] = stream
    return streams


def _fault(stream: Stream, clips: int) -> str | None:
    """Return what is wrong with a stream of `clips` clips, None if nothing is."""
    values, offsets, times = stream.values, stream.offsets, stream.times
    if values.ndim != 2 or values.dtype.name not in DTYPES:
        return f"holds {values.dtype.name} {values.shape} where float32 or float16 (steps, dim) is expected"
    if offsets.shape != (clips + 1,) or times.shape != (len(values), 2):
        return f"has {len(values)} steps, {len(times)} times and {len(offsets)} offsets for {clips} clips"
    if offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets) < 0).any():
        return "its offsets do not cut its steps into clips"
    return None
