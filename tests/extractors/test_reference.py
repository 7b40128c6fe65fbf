"""The as-released windows against the numbers of the reference, bit for bit."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from extractors.base import ClipError, ClipInfo
from extractors.selavi.picture import resize_and_crop, short_side_size
from extractors.selavi.plan import plan_released, released_frame_index
from extractors.selavi.released import read_released
from extractors.selavi.sound import SAMPLE_RATE, filterbank, log_filterbank


def golden(shared: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(shared / "golden" / "selavi" / f"{name}.npz") as file:
        return dict(file)


def test_window_plans(shared: Path) -> None:
    cases = json.loads((shared / "golden" / "selavi" / "unit_window_plan.json").read_text())
    assert len(cases) == 300
    for case in cases:
        fps = float(Fraction(case["rate"]))
        plan = plan_released(fps, case["nb_frames"])
        assert len(plan) == max(case["n_windows"], 0), case
        assert [w.start_frame for w in plan] == case["start_idx"]
        assert [w.end_frame for w in plan] == case["end_idx"]
        assert [w.start_s for w in plan] == case["fr_sec"]


def test_plan_of_ten_seconds() -> None:
    # Nine windows with a stride of 0.9 s reach 8.2 s of a 10 s clip; eleven seconds are seen to 5.5 s.
    plan = plan_released(25.0, 250)
    assert len(plan) == 9
    assert plan[1].start_frame == 22
    assert plan[-1].start_s + 1 == pytest.approx(8.2)
    eleven = plan_released(25.0, 275)
    assert eleven[-1].start_s + 1 == pytest.approx(5.5, abs=0.05)
    assert plan_released(30.0, 59) == []


@pytest.mark.parametrize("fps", [10, 12.5, 16, 24000 / 1001, 25, 30000 / 1001, 30, 31, 50, 60000 / 1001, 60, 120, 7.3])
def test_frame_index_is_torch_linspace(fps: float) -> None:
    expected = torch.linspace(0, fps - 1, 30).clamp(min=0).long().numpy()
    assert np.array_equal(released_frame_index(fps), expected)


def test_frame_index_repeats_and_skips() -> None:
    assert released_frame_index(30000 / 1001)[:4].tolist() == [0, 0, 1, 2]
    assert released_frame_index(25).tolist()[-3:] == [22, 23, 24]
    assert released_frame_index(30).tolist() == list(range(30))


def test_filterbank(shared: Path) -> None:
    reference = golden(shared, "unit_spectrogram")["filterbank"]
    assert np.array_equal(filterbank(), reference)


def test_dead_filters() -> None:
    assert int((filterbank().sum(axis=1) == 0).sum()) == 54
    silence = log_filterbank(np.zeros(SAMPLE_RATE, np.int16))
    assert silence.shape == (1, 257, 99)
    assert silence == pytest.approx(-2.122619)


def test_spectrograms(shared: Path) -> None:
    data = golden(shared, "unit_spectrogram")
    wav = data["wav"]

    def second(samples: np.ndarray, start: float) -> np.ndarray:
        first = round(start * SAMPLE_RATE)
        return samples[first : first + SAMPLE_RATE] if first + SAMPLE_RATE <= len(samples) else samples[-SAMPLE_RATE:]

    cases = {
        "mid": second(wav, 1.3), "zero": second(wav, 0), "rounded_start": second(wav, 0.7007),
        "past_end_clamped": second(wav, 4.7), "exact_1s": wav[:SAMPLE_RATE], "one_sample_short_44099": wav[44098:44099],
        "short_30000": wav[15900:30000], "short_22050": wav[:22050], "silence": second(data["wav_silence"], 0.4),
        "full_scale_square": second(data["wav_full_scale_square"], 0.5), "one_lsb": second(data["wav_one_lsb"], 0),
    }  # fmt: skip
    for name, samples in cases.items():
        assert np.array_equal(log_filterbank(samples), data[f"spec_{name}"]), name


def test_spatial_transform(shared: Path) -> None:
    data = golden(shared, "unit_spatial_transform")
    inputs = [name for name in data if name.startswith("in_")]
    assert len(inputs) == 10
    for name in inputs:
        ours = np.stack([resize_and_crop(frame) for frame in data[name]])
        assert np.array_equal(ours.transpose(3, 0, 1, 2), data[name.replace("in_", "out_")]), name


@pytest.mark.parametrize("size", [(256, 340), (360, 480), (480, 854), (241, 241), (90, 160), (1080, 1920), (640, 360)])
@pytest.mark.parametrize("released", [False, True])
def test_resize_is_torch_interpolate(size: tuple[int, int], released: bool) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    tensor = ((torch.from_numpy(frame).float() / 255 - 0.45) / 0.225).permute(2, 0, 1)[None]
    height, width = short_side_size(*size)
    resized = torch.nn.functional.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=False)[0]
    top, left = -(-(height - 112) // 2), -(-(width - 112) // 2)
    expected = resized[:, top : top + 112, left : left + 112].permute(1, 2, 0).numpy()
    # One version of torch differs from the next by rounding of the sampling place, above all for wide frames.
    assert np.abs(resize_and_crop(frame, released=released) - expected).max() < 2e-3


@pytest.mark.parametrize("name", ["a_4p6s_2997.mp4", "b_10s_25.mp4", "e_ucflike_7p4s_25.avi"])
def test_windows_of_real_files(shared: Path, name: str) -> None:
    data = golden(shared, name.rsplit(".", 1)[0])
    info = ClipInfo()
    windows = list(read_released(shared / "data" / "clips" / name, info))
    assert len(windows) == data["visual_shape"][0]
    assert [w.start for w in windows] == data["fr_sec"].tolist()
    for k, window in enumerate(windows):
        video = np.ascontiguousarray(window.visual.transpose(3, 0, 1, 2)).reshape(-1)
        assert np.array_equal(video[::1013], data["visual_sample"][k])
        # Two FFmpeg versions decode AAC to samples that differ in the last bit.
        assert np.abs(window.audio.reshape(-1)[::101] - data["audio_sample"][k]).max() < 3.5e-3
    assert np.abs(windows[0].audio - data["audio_window0"]).max() < 3.5e-3
    assert info.frames
    assert info.audio_samples


@pytest.mark.parametrize(
    ("name", "status"),
    [("c_noaudio_5s_30.mp4", "no_audio_stream"), ("d_short_0p6s_30.mp4", "too_short"), ("i_1p7s_30.mp4", "too_short")],
)
def test_clips_that_the_released_code_replaces(shared: Path, name: str, status: str) -> None:
    with pytest.raises(ClipError) as caught:
        list(read_released(shared / "data" / "clips" / name, ClipInfo()))
    assert caught.value.status == status
