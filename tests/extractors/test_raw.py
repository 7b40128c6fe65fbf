"""Raw windows prepared on a device against windows prepared where they were decoded; here the device is the CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.config.features import FeaturesConfig
from extractors import selavi
from extractors.base import ClipInfo, Window
from extractors.feed import DeviceFeed
from extractors.pool import DecodePool, End
from extractors.selavi.picture import resize_and_crop, taps
from extractors.selavi.prepare import normalised, prepare_pictures, prepare_sounds
from extractors.selavi.raw import raw_window
from extractors.selavi.sound import log_filterbank

Make = Callable[..., Path]
CPU = torch.device("cpu")
FEED = DeviceFeed(CPU)


def noise(moment: float) -> np.ndarray:
    return np.random.default_rng(int(moment * 1000)).integers(0, 256, (90, 130, 3), np.uint8).repeat(2, 0).repeat(2, 1)


def settings(**options: Any) -> dict[str, Any]:
    return {"weights": {"random_seed": 0}} | options


def uploaded(window: Window) -> Window:
    return Window.of(window.start, window.end, FEED.upload(window.arrays()))


@pytest.mark.parametrize("size", [(260, 180), (180, 260), (112, 112), (150, 112), (64, 48), (1280, 720), (113, 500)])
@pytest.mark.parametrize("released", [True, False])
def test_pixels_are_the_same_bits(size: tuple[int, int], released: bool) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, size[1], size[0], 3), np.uint8)
    shown = [taps(frame) for frame in frames]
    window = uploaded(raw_window(0.0, 1.0, np.zeros(9, np.int16), [shown[0], shown[0], shown[2], shown[1]]))
    assert window.visual.shape == (3, 224, 224, 3)
    out = torch.empty(1, 4, 112, 112, 3)
    prepare_pictures([window], out, released=released)
    expected = [resize_and_crop(frames[k], released=released) for k in (0, 0, 2, 1)]
    np.testing.assert_array_equal(out[0].numpy(), np.stack(expected))


@pytest.mark.parametrize("length", [44100, 30001, 900, 800])
def test_spectrograms(length: int) -> None:
    rng = np.random.default_rng(0)
    loud = (rng.standard_normal(length) * 9000).astype(np.int16)
    quiet = np.zeros(length, np.int16)
    ours = prepare_sounds([torch.from_numpy(loud), quiet], CPU).numpy()
    for one, samples in zip(ours, (loud, quiet), strict=True):
        np.testing.assert_allclose(one, log_filterbank(samples), atol=2e-6)


@pytest.mark.parametrize("options", [{}, {"windows": "as_released"}, {"antialias": True}], ids=str)
def test_a_clip_by_either_way(make_clip: Make, options: dict[str, Any]) -> None:
    path = make_clip(seconds=3.4, fps=25, size=(260, 180), picture=noise)
    parsed = selavi.Options.model_validate(settings(**options))
    ready, raw = ClipInfo(), ClipInfo()
    expected = list(selavi.read(path, parsed, ready))
    windows = list(selavi.read_raw(path, parsed, raw))
    assert raw == ready
    assert [(w.start, w.end) for w in windows] == [(w.start, w.end) for w in expected]
    assert len(windows[0].visual) <= 26, "25 pictures a second are 25, not 30"
    assert windows[0].visual.dtype == np.uint8
    out = torch.empty(len(windows), 30, 112, 112, 3)
    prepare_pictures([uploaded(w) for w in windows], out, released=parsed.windows == "as_released")
    for mine, window, given in zip(out, expected, windows, strict=True):
        visual = window.visual if window.visual.dtype == np.float32 else normalised(torch.from_numpy(window.visual))
        np.testing.assert_array_equal(mine.numpy(), visual)
        np.testing.assert_allclose(prepare_sounds([given.audio], CPU)[0], window.audio, atol=2e-6)


class Watched(DeviceFeed):
    """Counts what a driver would have pinned."""

    def __init__(self) -> None:
        super().__init__(torch.device("cpu"))
        self.pinned, self.ever = 0, 0

    def pin(self, memory: Any) -> None:
        self.pinned += 1
        self.ever += 1

    def unpin(self, memory: Any) -> None:
        self.pinned -= 1


def test_raw_windows_come_through_the_pool(make_clip: Make) -> None:
    paths = [make_clip(seconds=seconds, fps=25, size=(260, 180), picture=noise) for seconds in (3.4, 1.2)]
    features = FeaturesConfig.model_validate(settings())
    feed = Watched()
    with DecodePool(features, 2, feed) as pool:
        clips = [list(items) for items in pool.clips([*paths, Path("/nowhere.mp4")])]
    assert feed.ever >= 1
    assert feed.pinned == 0
    assert [items[-1].status for items in clips if isinstance(items[-1], End)] == ["ok", "ok", "corrupt"]
    for path, items in zip(paths, clips, strict=False):
        windows = list(selavi.read_raw(path, selavi.Options.model_validate(settings()), ClipInfo()))
        for window, item in zip(windows, items, strict=False):
            assert isinstance(item, Window)
            assert isinstance(item.visual, torch.Tensor)
            np.testing.assert_array_equal(item.visual.numpy(), window.visual)
            np.testing.assert_array_equal(item.more["index"], window.more["index"])
