"""CLIP and CLAP as released: which picture and which ten seconds the published features are of."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.config.features import WeightsConfig
from avzsl.pretrained.clip_files import WAVCAPS, filled
from extractors import clip_clap
from extractors.base import ClipInfo
from extractors.clip_clap.windows import crop
from extractors.inversion import invert
from tests.report.world import write_clip

torch.set_num_threads(1)
needs_clip = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("open_clip", "transformers")),
    reason="the extra [clip] is not installed",
)
RANDOM = WeightsConfig(random_seed=0)


@pytest.mark.parametrize(("seconds", "start"), [(12.0, 32000), (2.0, 0)])
def test_released_sound_is_the_middle_ten_seconds(seconds: float, start: int, tmp_path: Path) -> None:
    from avzsl.media.opening import open_container
    from avzsl.media.sound import decode_audio

    write_clip(tmp_path / "c.mp4", 3, seconds)
    options = clip_clap.Options(windows="as_released", sound="wavcaps", picture_weights=RANDOM, sound_weights=RANDOM)
    [window] = clip_clap.read(tmp_path / "c.mp4", options, ClipInfo())
    with open_container(tmp_path / "c.mp4") as container:
        whole = np.concatenate([chunk for _, chunk in decode_audio(container, container.streams.audio[0], 32000)])
    first = (whole.size - 320000) // 2 if whole.size > 320000 else 0
    assert abs(first - start) < 3200 and window.audio is not None
    np.testing.assert_array_equal(window.audio, whole[first : first + 320000])
    assert filled(window.audio, WAVCAPS).size == 320000


@pytest.mark.parametrize(("colours", "place"), [("bgr", 124), ("inverted", 125)])
def test_released_clips_are_a_middle_frame_and_ten_seconds(shared: Path, colours: str, place: int) -> None:
    import av

    path = shared / "data/clips/b_10s_25.mp4"
    if not path.is_file():
        pytest.skip("the clips are not here")
    options = clip_clap.Options(
        windows="as_released", colours=colours, sound="wavcaps", picture_weights=RANDOM, sound_weights=RANDOM
    )
    [window] = clip_clap.read(path, options, ClipInfo())
    with av.open(str(path)) as container:
        frame = [frame for _, frame in zip(range(place + 1), container.decode(video=0), strict=False)][-1]
    bgr = frame.to_ndarray(format="bgr24")
    np.testing.assert_array_equal(window.visual, crop(invert(bgr) if colours == "inverted" else bgr))
    assert window.audio is not None and 0 < window.audio.size <= 320000


def test_released_pictures_that_were_announced_and_never_read_are_black(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    from extractors.clip_clap import released

    with av.open(str(tmp_path / "c.avi"), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for grey in range(9):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * grey, np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    info = ClipInfo()
    assert abs(int(released.middle_picture(tmp_path / "c.avi", False, info)[0, 0, 0]) - 60) < 6  # 9 // 2 - 1
    assert info.frames == 9
    assert abs(int(released.middle_picture(tmp_path / "c.avi", True, info)[0, 0, 0]) - (256 - 80)) < 6  # 9 // 2
    decoded = released.decode_video
    monkeypatch.setattr(
        released, "decode_video", lambda *a, **k: (f for f, _ in zip(decoded(*a, **k), range(3), strict=False))
    )
    assert not released.middle_picture(tmp_path / "c.avi", True, info).any()


def test_inversion_is_that_of_a_byte() -> None:
    assert invert(np.array([0, 1, 128, 255], np.uint8)).tolist() == [0, 255, 128, 1]
