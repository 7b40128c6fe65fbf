"""How a decoded frame is meant to be seen: its colour matrix and range, upright."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter


class Reformat:
    """Decoded frame -> RGB with the stream's own colour matrix and range, resized by swscale where a size is given."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, width: int | None = None, height: int | None = None) -> np.ndarray:
        converted = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", src_colorspace=colour_matrix(frame), dst_colorspace=Colorspace.ITU601,
            interpolation=Interpolation.BILINEAR, threads=1,
        )  # fmt: skip
        return converted.to_ndarray()


def upright(pixels: np.ndarray, rotation: int) -> np.ndarray:
    """Turn by the display matrix, to the nearest quarter (degrees counter-clockwise)."""
    quarters = round(rotation / 90) % 4
    return np.rot90(pixels, quarters) if quarters else pixels


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
