"""Which steps of each clip a batch holds: all of them, or a crop of sound and picture together.

Positions are drawn by a generator of their own, one number for each place of a batch, before anything is loaded: they
depend on neither the order of loading nor on how often a run was stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.streams import Stream
from avzsl.contracts.vocabulary import MODALITIES

# Longest sequence that a batch may hold: attention needs memory with the square of it.
LONGEST = 2000


@dataclass(frozen=True)
class Part:
    """The steps that batches hold of one modality: `first` and `kept` (..., B) int64 within each clip.

    `width` is how many places a batch has, or None for as many as its longest part.
    """

    first: Tensor
    kept: Tensor
    width: int | None = None


class Cropper:
    """The rules of `TrainingConfig` for the length of sequences, on one data set's steps.

    `step_seconds` are the nominal lengths of a step of sound and of picture; by default the median of the data.
    Raises DataError if whole clips are asked for and one of `rows` is longer than a batch can hold.
    """

    def __init__(
        self,
        streams: dict[str, Stream],
        training: TrainingConfig,
        step_seconds: Sequence[float] | None = None,
        rows: np.ndarray | None = None,
        clip_ids: Sequence[str] = (),
    ) -> None:
        self.rules = training
        self.offsets = {name: torch.from_numpy(streams[name].offsets) for name in MODALITIES}
        self.lengths = {name: offsets.diff() for name, offsets in self.offsets.items()}
        self.step_seconds = tuple(step_seconds or (_median(streams[name].times) for name in MODALITIES))
        if training.sequence_length == "max" and rows is not None:
            _check_longest(self.lengths, rows, clip_ids)
        if training.crop_alignment != "as_released":
            self._by_time(streams)

    def _by_time(self, streams: dict[str, Stream]) -> None:
        """Prepare to find the steps of many clips by their seconds at once."""
        ends = [
            np.maximum.reduceat(np.append(s.times[:, 1], 0.0), np.minimum(s.offsets[:-1], len(s.times)))
            if len(s.times)
            else np.zeros(len(s.offsets) - 1)
            for s in streams.values()
        ]
        self.duration = torch.from_numpy(np.maximum(*ends))
        # Starts go forward within a clip; a span longer than any clip for each makes them go forward over all.
        self.span = float(self.duration.max()) + 1.0 if len(self.duration) else 1.0
        self.moments = {}
        for name, stream in streams.items():
            clips = np.repeat(np.arange(len(stream.offsets) - 1), stream.lengths)
            self.moments[name] = torch.from_numpy(stream.times[:, 0] + clips * self.span)

    def whole(self, rows: Tensor) -> dict[str, Part]:
        """Return all steps of the clips `rows`."""
        return {name: Part(torch.zeros_like(rows), self.lengths[name][rows]) for name in MODALITIES}

    def training_parts(self, rows: Tensor, share: Tensor) -> dict[str, Part]:
        """Return the steps of the clips `rows` in training; `share` in [0, 1), of the shape of `rows`, places the crops."""
        if self.rules.sequence_length == "max":
            return self.whole(rows)
        drawn = share if self.rules.crop == "random" else None
        return self._crop(rows, self.rules.train_steps, drawn)

    def test_parts(self, rows: Tensor) -> dict[str, Part]:
        """Return the steps of the clips `rows` in evaluation: crops come from the middle."""
        return (
            self.whole(rows) if self.rules.sequence_length == "max" else self._crop(rows, self.rules.test_steps, None)
        )

    def _crop(self, rows: Tensor, steps: int, share: Tensor | None) -> dict[str, Part]:
        if self.rules.crop_alignment == "as_released":
            lengths = [self.lengths[name][rows] for name in MODALITIES]
            return released_crops(lengths[0], lengths[1], steps, self.step_seconds, share)
        return self._timed_crops(rows, steps * self.step_seconds[1], share)

    def _timed_crops(self, rows: Tensor, seconds: float, share: Tensor | None) -> dict[str, Part]:
        """Return the steps that begin in the same `seconds` of a clip, in both modalities; at least one of each."""
        room = (self.duration[rows] - seconds).clamp(min=0.0)
        begin = room * (0.5 if share is None else share)
        end = torch.where(room > 0, begin + seconds, self.span)
        parts = {}
        for name in MODALITIES:
            low, high = self.offsets[name][rows], self.offsets[name][rows + 1]
            # A clip without steps of a modality keeps none.
            first = torch.searchsorted(self.moments[name], begin + rows * self.span)
            first = torch.minimum(torch.where(room > 0, first, low), (high - 1).clamp(min=0)).maximum(low)
            last = torch.searchsorted(self.moments[name], end + rows * self.span)
            last = torch.minimum(torch.maximum(last, first + 1), high)
            parts[name] = Part(first - low, (last - first).clamp(max=LONGEST))
        return parts


def released_crops(
    audio: Tensor, visual: Tensor, steps: int, step_seconds: Sequence[float], share: Tensor | None
) -> dict[str, Part]:
    """Return crops as TCaF's released collator lays them, for lengths `audio` and `visual` (..., B).

    Picture: `steps` from a start that is uniform but never the last possible one, or from the middle (`share` None).
    Sound: as many steps as round(steps * s_v * s_a), with s the seconds of a step (dividing by s_a would be right), from
    the picture's start where both are cropped, else from its own beginning. Both are padded to their full width.
    """
    heard, seen = step_seconds
    limit = round(steps * seen * heard)
    room = (visual - steps).clamp(min=0)
    start = room // 2 if share is None else torch.minimum((share * room).long(), (room - 1).clamp(min=0))
    beside = torch.round(start.double() * seen / heard).long()
    moved = (start > 0) & (audio > limit)
    begin = torch.where(moved, torch.minimum(audio - limit, beside), 0)
    return {
        "audio": Part(begin, audio.clamp(max=limit), limit),
        "visual": Part(start, visual.clamp(max=steps), steps),
    }


def _median(times: np.ndarray) -> float:
    """Return the median length of a step in seconds; 1 where there is none."""
    return float(np.median(times[:, 1] - times[:, 0])) or 1.0 if len(times) else 1.0


def _check_longest(lengths: dict[str, Tensor], rows: np.ndarray, clip_ids: Sequence[str]) -> None:
    for name, counts in lengths.items():
        of_rows = counts.numpy()[rows]
        longest = int(of_rows.argmax()) if len(of_rows) else 0
        if len(of_rows) and of_rows[longest] > LONGEST:
            raise DataError(
                Path("sequences"),
                f"clip {clip_ids[longest]!r} has {of_rows[longest]} {name} steps, more than the {LONGEST} that a batch of whole "
                "clips can hold; set training.sequence_length: fixed for this data set",
            )
