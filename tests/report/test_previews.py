"""Previews open files as everything else does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avzsl.report.previews import make_preview
from avzsl.report.spectrogram import FFT, MELS, RANGE_DB, RATE, STEP, log_mel
from tests.media.files import turned, write


def test_a_preview_is_upright(tmp_path: Path) -> None:
    path = turned(write(tmp_path / "c.mp4", seconds=1), tmp_path / "turned.mp4", (0, 1, -1, 0))
    (tmp_path / "c.jpg").write_bytes(make_preview(path).picture or b"")
    width, height = Image.open(tmp_path / "c.jpg").size
    assert height > width


def test_a_playlist_has_no_preview(tmp_path: Path) -> None:
    write(tmp_path / "real.mp4", seconds=1)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile real.mp4\n")
    with pytest.raises(ValueError, match="not a readable media file"):
        make_preview(tmp_path / "list.mp4")


@pytest.mark.parametrize("samples", [1600, 48_000])
def test_a_spectrogram_is_librosas(samples: int) -> None:
    librosa = pytest.importorskip("librosa")
    rng = np.random.default_rng(0)
    time = np.arange(samples) / RATE
    wave = 0.3 * np.sin(2 * np.pi * (200 + 3000 * time) * time) + 0.001 * rng.normal(size=samples)
    sound = (wave * 32767).astype(np.int16)
    power = librosa.feature.melspectrogram(
        y=sound.astype(np.float32) / 32768, sr=RATE, n_fft=FFT, hop_length=STEP, n_mels=MELS
    )
    decibel = librosa.power_to_db(power, ref=float(power.max()), top_db=RANGE_DB)
    np.testing.assert_allclose(log_mel(sound), decibel / RANGE_DB + 1, rtol=0, atol=1e-4)


def test_the_spectrogram_of_silence_is_even() -> None:
    found = log_mel(np.zeros(RATE, np.int16))
    assert found.shape == (MELS, 1 + RATE // STEP)
    assert len(np.unique(found)) == 1
