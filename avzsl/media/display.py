"""How a decoded frame is meant to be seen: its colour matrix and range, upright."""

from __future__ import annotations

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter


class Reformat:
    """Decoded frame -> RGB with the stream's own colour matrix and range, resized by swscale where a size is given."""

    def __init__(self, interpolation: Interpolation = Interpolation.BILINEAR) -> None:
        self._interpolation = interpolation
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, width: int | None = None, height: int | None = None) -> np.ndarray:
        converted = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", src_colorspace=colour_matrix(frame), dst_colorspace=Colorspace.ITU601,
            interpolation=self._interpolation, threads=1,
        )  # fmt: skip
        return converted.to_ndarray()


# Turned and mirrored: swap rows and columns first, then reverse the columns, then the rows.
Orientation = tuple[bool, bool, bool]
UPRIGHT: Orientation = (False, False, False)


def orientation(frame: VideoFrame) -> Orientation:
    """Return how a frame must be turned and mirrored to be seen as its display matrix says, to the nearest quarter turn."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    # Rows of three, 16.16 fixed point: a point (x, y) goes to (a x + c y, b x + d y).
    a, b, _, c, d = np.frombuffer(memoryview(data), "<i4", 5).tolist()
    if abs(a) >= abs(b):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def upright(pixels: np.ndarray, turn: Orientation) -> np.ndarray:
    """Turn and mirror an image (rows, columns, ...)."""
    swap, columns, rows = turn
    pixels = pixels.swapaxes(0, 1) if swap else pixels
    pixels = pixels[:, ::-1] if columns else pixels
    return pixels[::-1] if rows else pixels


# Values of colour matrix in H.264 and FFmpeg (ISO/IEC 23091-2): what a frame says of itself.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


def colour_matrix(frame: VideoFrame) -> int:
    """Return the colour matrix of a frame; untagged ones are BT.601, as swscale assumes."""
    return _MATRICES.get(int(frame.colorspace), Colorspace.ITU601)
