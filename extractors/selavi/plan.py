"""The window plan of the released extraction, kept as it is because the released features were made with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FRAMES = 30  # frames of a window


@dataclass(frozen=True)
class PlannedWindow:
    """One window: first frame, last frame (a float: start + fps - 1), and the start in seconds for the sound."""

    start_frame: int
    end_frame: float
    start_s: float


def plan_released(fps: float, frames: int) -> list[PlannedWindow]:
    """Return the windows of a stream of `frames` frames at `fps` frames a second, as the released code plans them.

    It means a sliding second but takes int(seconds) - 1 windows whose stride is a tenth of the length divided by
    (n // 10 + 1): always below one second, overlapping, and never reaching the end (82 % of ten seconds, half of eleven).
    """
    count = int(frames / fps) - 1
    slots = (count // 10 + 1) * 1000
    room = max(frames - fps, 0)
    starts = [int(room * (100 * i) / slots) for i in range(max(count, 0))]
    return [PlannedWindow(start, start + fps - 1, start / fps) for start in starts]


def released_frame_index(fps: float) -> np.ndarray:
    """Return which decoded frame of a window each of its 30 frames is, before clamping to the frames there are.

    Positions evenly spaced from 0 to fps - 1, truncated; nothing is interpolated. In float32 from both ends, as
    torch.linspace computes it, because the truncation sees the last bit.
    """
    end = np.float32(fps - 1)
    step = end / np.float32(FRAMES - 1)
    place = np.arange(FRAMES, dtype=np.float32)
    half = FRAMES // 2
    values = np.concatenate([step * place[:half], end - step * (np.float32(FRAMES - 1) - place[half:])])
    return np.maximum(values, 0).astype(np.int64)
