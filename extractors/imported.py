"""Features that exist already -> the files of a shard: every clip checked, one row each, in the memory of one clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.contracts.errors import DataError
from avzsl.contracts.mapped import write_in_pieces
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import as_type
from avzsl.contracts.tables import write_table
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.runtime.progress import progress
from extractors.base import ClipError

WHAT = {"audio": "sound", "visual": "picture"}


@dataclass(frozen=True)
class Given:
    """What was found of one modality of a clip: `values` (steps, dim) or (dim,), `times` (steps, 2) where they are known."""

    values: np.ndarray
    times: np.ndarray | None = None


# Reads one modality of a clip; raises ClipError, or DataError where the whole set is at fault.
Read = Callable[[str, str], Given]


@dataclass
class _Kept:
    """The clips that are used, and what is announced before their values are written."""

    clip_ids: list[str]
    lengths: dict[str, list[int]]
    times: dict[str, list[np.ndarray]]


def identity_of(name: str, weights: str, windows: str | None = None) -> dict[str, Any]:
    """Return what a header says of features that existed already."""
    return {"name": name, "windows": windows, "random_weights": False, "execution": "imported", "weights": weights}


def write_imported(
    where: Path,
    clip_ids: Sequence[str],
    read: Read,
    arrays: Path,
    manifest: Path,
    *,
    identity: dict[str, Any],
    step_seconds: tuple[float, float] = (1.0, 1.0),
    dtype: str = "float32",
    modalities: Sequence[str] = MODALITIES,
) -> pd.DataFrame:
    """Write features that `read` gives for the clips `clip_ids` as a shard; return its FEATURES table.

    A vector is one step; steps without times of their own follow each other every `step_seconds` (audio, visual). A clip
    whose features are missing, hold NaN, have no step or go back in time has its row and reason. `where` is named in
    messages. A modality that is not among `modalities` has width 0 and no step in any clip. Clips are read twice: once to be checked, once to be written.

    Raises DataError if clips differ in width or none can be used.
    """
    kept = _Kept([], {name: [] for name in MODALITIES}, {name: [] for name in MODALITIES})
    rows: list[dict[str, Any]] = []
    widths: dict[str, tuple[int, str]] = {}
    with progress("import", len(clip_ids), "clips") as ticker:
        for clip_id in clip_ids:
            row: dict[str, Any] = {"clip_id": clip_id, "shard": 0, "row": -1, "audio_steps": 0, "visual_steps": 0}
            try:
                checked = {
                    name: _checked(read(clip_id, name), name, seconds, clip_id, widths, where)
                    for name, seconds in zip(MODALITIES, step_seconds, strict=True)
                    if name in modalities
                }
                row |= {"status": "ok", "row": len(kept.clip_ids), "reason": None}
                for name, (values, times) in checked.items():
                    row[f"{name}_steps"] = len(values)
                    kept.lengths[name].append(len(values))
                    kept.times[name].append(times)
                row["seconds_covered"] = min(float(times[-1, 1] - times[0, 0]) for _, times in checked.values())
                kept.clip_ids.append(clip_id)
            except ClipError as fault:
                row |= {"status": fault.status, "reason": fault.reason}
            rows.append(row)
            ticker.advance()
    if not kept.clip_ids:
        first = f"; of the first, {rows[0]['clip_id']!r}: {rows[0]['reason']}" if rows else ""
        raise DataError(where, f"has usable features of none of the {len(rows)} listed clips{first}")
    layout: dict[str, tuple[str, tuple[int, ...]]] = {}
    pieces: dict[str, Iterator[np.ndarray]] = {}
    for name in MODALITIES:
        if name not in modalities:
            kept.lengths[name] = [0] * len(kept.clip_ids)
        steps = sum(kept.lengths[name])
        layout |= {
            name: (dtype, (steps, widths[name][0] if name in modalities else 0)),
            f"{name}_offsets": ("int64", (len(kept.clip_ids) + 1,)),
            f"{name}_times": ("float64", (steps, 2)),
        }
        pieces |= {
            name: _again(kept.clip_ids if name in modalities else [], read, name, dtype),
            f"{name}_offsets": iter([np.cumsum([0, *kept.lengths[name]], dtype=np.int64)]),
            f"{name}_times": iter(kept.times[name]),
        }
    write_in_pieces(arrays, layout, pieces, {"clip_ids": kept.clip_ids, "extractor": identity, "dtype": dtype})
    table = pd.DataFrame(rows, columns=list(FEATURES.columns))
    write_table(manifest, table, FEATURES)
    return table


def _again(clip_ids: list[str], read: Read, name: str, dtype: str) -> Iterator[np.ndarray]:
    for clip_id in clip_ids:
        yield as_type(_steps(read(clip_id, name).values), dtype)


def _steps(values: np.ndarray) -> np.ndarray:
    """Return steps (steps, dim) float32; a vector is one step. Raises TypeError for what is no real number."""
    if np.asarray(values).dtype.kind not in "fiub":
        raise TypeError(f"they are {np.asarray(values).dtype.name}")
    return np.atleast_2d(np.asarray(values, dtype=np.float32))


def _checked(
    given: Given, name: str, seconds: float, clip_id: str, widths: dict[str, tuple[int, str]], where: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return values (steps, dim) and times (steps, 2) of one modality of a clip, or raise ClipError or DataError."""
    what = WHAT[name]
    try:
        values = _steps(given.values)
    except (ValueError, TypeError) as error:
        raise ClipError("corrupt", f"the {name} features are no numbers ({error})") from error
    if values.ndim != 2:
        raise ClipError("corrupt", f"the {name} features have shape {values.shape}, not (steps, width) or (width,)")
    if not len(values):
        raise ClipError("too_short", f"it has no step of {what}")
    if not values.shape[1]:
        raise ClipError("corrupt", f"the {name} features have no columns")
    width, first = widths.setdefault(name, (values.shape[1], clip_id))
    if values.shape[1] != width:
        raise DataError(
            where, f"the {name} features of clip {clip_id!r} have {values.shape[1]} columns, those of {first!r} {width}"
        )
    if not np.isfinite(values).all():
        raise ClipError("corrupt", f"the {name} features hold NaN or infinity")
    times = given.times
    if times is None:
        place = np.arange(len(values))
        times = np.stack([place, place + 1], axis=1) * seconds
    times = np.asarray(times, dtype=np.float64)
    if times.shape != (len(values), 2):
        raise ClipError(
            "corrupt", f"{name}_times has shape {times.shape}, not ({len(values)}, 2): start and end of each step"
        )
    if not np.isfinite(times).all() or (times[:, 1] < times[:, 0]).any() or (np.diff(times[:, 0]) < 0).any():
        raise ClipError("unsupported", f"its steps of {what} go back in time")
    return values, times
