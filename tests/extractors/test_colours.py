"""Colours reach the network as red, green and blue, whatever way windows are read."""

from __future__ import annotations

import numpy as np
import pytest

from extractors.base import ClipInfo
from extractors.selavi.released import read_released
from extractors.selavi.uniform import read_uniform


@pytest.mark.parametrize("read", [read_released, read_uniform])
@pytest.mark.parametrize("colour", [(200, 60, 20), (20, 200, 60), (60, 20, 200)])
def test_red_green_and_blue_are_in_this_order(make_clip, read, colour):
    picture = np.zeros((48, 64, 3), np.uint8) + np.asarray(colour, np.uint8)
    name = f"{'-'.join(map(str, colour))}.mp4"
    path = make_clip(name, seconds=2.5, picture=lambda moment: picture, options={"crf": "4"})
    for window in read(path, ClipInfo()):
        shown = (window.visual.mean(axis=(0, 1, 2)) * 0.225 + 0.45) * 255
        assert shown == pytest.approx(colour, abs=12)
