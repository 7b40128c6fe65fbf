"""SeLaVi's windows as a decoding process hands them to a device: what was decoded, and no more of it than is needed.

A 340 x 256 clip at 25 frames a second gives 3.9 MB a window where prepared float32 frames take 4.6 MB, and the processor is
spared resizing, normalising and the spectrogram. `extractors.selavi.prepare` makes the rest, bit for bit the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from extractors.base import Window


def raw_window(start: float, end: float, samples: np.ndarray, shown: Sequence[Any]) -> Window:
    """Return a window of `samples` int16 and what each of its frames was converted to, repeated ones as the same object.

    `audio` int16 (n,); `visual` uint8 of the k different pictures; `more`: `index` uint8 (frames,), which of them each frame
    is. Converted are pixels (112, 112, 3), or the pair that `picture.taps` gives: then `visual` is (k, 224, 224, 3) and
    `more` has `weights` float32 (k, 4, 112) besides.
    """
    places: dict[int, int] = {}
    different: list[Any] = []
    for one in shown:
        if id(one) not in places:
            places[id(one)] = len(different)
            different.append(one)
    more = {"index": np.array([places[id(one)] for one in shown], np.uint8)}
    if isinstance(different[0], tuple):
        more["weights"] = np.stack([weights for _, weights in different])
        different = [pixels for pixels, _ in different]
    return Window(start, end, samples, np.stack(different), more)
