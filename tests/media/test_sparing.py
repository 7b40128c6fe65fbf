"""Frames that are left out change nothing of those that are looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from avzsl.media import sparing
from extractors.base import ClipInfo
from extractors.seconds import Second, read_uniform_seconds

from .files import scene, write  # isort: skip


def read(path: Path, frames: int) -> tuple[list[Second], ClipInfo]:
    info = ClipInfo()

    def pixels(frame: VideoFrame) -> np.ndarray:
        return frame.to_ndarray(format="rgb24")

    return list(read_uniform_seconds(path, info, 16000, frames, pixels)), info


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return a function that says how many frames came out of the decoder since it was last asked."""
    counts = [0]
    passed = sparing.Sparing.passed

    def counted(self: sparing.Sparing, pts: int | None) -> int:
        counts[0] += 1
        return passed(self, pts)

    def asked() -> int:
        number, counts[0] = counts[0], 0
        return number

    monkeypatch.setattr(sparing.Sparing, "passed", counted)
    return asked


@pytest.mark.parametrize("frames", [1, 2, 10])
@pytest.mark.parametrize(
    ("name", "codec", "spared"),
    [
        ("a.mp4", "libx264", True),
        ("a.mkv", "libx264", True),
        ("a.ts", "libx264", True),
        ("a.mp4", "libx265", True),
        ("a.avi", "libx264", False),  # does not say when a frame is shown
        ("a.mp4", "mpeg4", False),
    ],
)
def test_the_pictures_that_are_looked_at_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: Callable[[], int], name: str, codec: str, spared: bool, frames: int
) -> None:  # fmt: skip
    path = write(tmp_path / name, codec=codec, seconds=8)
    found, info = read(path, frames)
    fewer = decoded()
    monkeypatch.setattr(sparing, "_CODECS", set())
    expected, whole = read(path, frames)
    assert (fewer < decoded()) == spared
    assert info == whole, "the number of frames, for one, counts those left out"
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.frames, other.frames)
        np.testing.assert_array_equal(one.samples, other.samples)


def test_a_picture_that_stands_still_is_decoded_whole(tmp_path: Path, decoded: Callable[[], int]) -> None:
    _, info = read(write(tmp_path / "still.mp4", picture=lambda moment: scene(0.0), seconds=8), 2)
    assert decoded() == info.frames == 200
    assert "the picture never changes" in (info.note or "")


def test_uneven_times_spare_nothing(tmp_path: Path, decoded: Callable[[], int]) -> None:
    times = [k / 25 for k in range(150) if k % 10 not in (5, 6, 7)]
    _, info = read(write(tmp_path / "uneven.mkv", times=times), 2)
    assert decoded() == info.frames
