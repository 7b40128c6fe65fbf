"""A decoded frame -> the pixels that EfficientNet-Lite0 takes: short side to 256 bicubically, centre of 224 (its evaluation)."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation

from avzsl.media.display import Reformat, orientation, upright

SHORT_SIDE, CROP = 256, 224
# A longer strip is cut to its central square before it is resized, or its size would follow its shape.
_LONGEST = 8


class CentreCrop:
    """Decoded frame -> upright RGB uint8 (224, 224, 3).

    swscale resizes and converts in one step, which costs half of what conversion and then Pillow do. Long sides are even
    after it, so that the centre lies on whole pixels.
    """

    def __init__(self) -> None:
        self._reformat = Reformat(Interpolation.BICUBIC)

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        turn, short = orientation(frame), min(frame.width, frame.height)
        if max(frame.width, frame.height) > _LONGEST * short:
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(_middle(self._reformat(frame), short)), "rgb24")
        width, height = (max(2 * round(side * SHORT_SIDE / short / 2), CROP) for side in (frame.width, frame.height))
        pixels = self._reformat(frame, width, height)
        return np.ascontiguousarray(upright(_middle(pixels, CROP), turn))


def _middle(pixels: np.ndarray, side: int) -> np.ndarray:
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]
