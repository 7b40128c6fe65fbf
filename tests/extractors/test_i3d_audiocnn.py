"""I3D and the audio network: against the released code, padding from its definition, files of both layouts."""

from __future__ import annotations

import re
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from avzsl.contracts.errors import DataError
from extractors.i3d_audiocnn.audio_network import AudioNetwork, read_audio_network
from extractors.i3d_audiocnn.i3d import I3D, Unit, read_i3d, same, tensor_name
from extractors.i3d_audiocnn.sound import RATE, log_mel
from tests.extractors.test_c3d_vggish import filled, input0
from tests.methods.reference import golden

torch.set_num_threads(1)


@pytest.mark.slow
@torch.inference_mode()
def test_i3d(shared: Path) -> None:
    x = golden(shared, "features/i3d_seed0")
    network = filled(I3D(), "i3d.")
    assert isinstance(network, I3D)
    frames = input0((1, 3, 16, 224, 224)).clamp(-1, 1)
    compared = 0
    for name, maps in network.stages(frames):
        if f"sample/{name}" in x:
            assert tuple(maps.shape) == tuple(x[f"shape/{name}"])
            scale = np.abs(x[f"sample/{name}"]).max()
            np.testing.assert_allclose(maps.flatten()[::1009][:512], x[f"sample/{name}"], rtol=1e-4, atol=1e-5 * scale)
            compared += 1
    assert compared == 9
    np.testing.assert_allclose(network(frames)[0], x["features_f64"], rtol=1e-4, atol=1e-4)
    for count in (17, 24):
        rng = np.random.default_rng(count)
        frames = torch.from_numpy(rng.standard_normal((1, 3, count, 224, 224)).astype(np.float32)).clamp(-1, 1)
        np.testing.assert_allclose(network(frames)[0], x[f"features_T{count}"], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@torch.inference_mode()
def test_audio_network(shared: Path) -> None:
    x = golden(shared, "features/audiocnn")
    network = filled(AudioNetwork(527), "audiocnn.")
    assert isinstance(network, AudioNetwork)
    maps = network(input0((2, 1, 256, 128))[:, 0])
    np.testing.assert_allclose(maps, x["net_map"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(maps.mean(1), x["net_feature_f64"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(network.logits(maps).sigmoid().mean(1), x["net_scores"], rtol=1e-4, atol=1e-5)
    frames = log_mel(torch.from_numpy(x["wave44k_int16"].astype(np.float32) / 32768))
    heard = network(frames[None])
    np.testing.assert_allclose(heard[0], x["wave_map"], rtol=1e-3, atol=1e-3 * np.abs(x["wave_map"]).max())


def test_log_mel(shared: Path) -> None:
    x = golden(shared, "features/audiocnn")
    frames = log_mel(torch.from_numpy(x["wave44k_int16"].astype(np.float32) / 32768))
    assert tuple(frames.shape) == tuple(x["logmel_constant_shape"])
    np.testing.assert_allclose(frames[[0, 1, 50, 100, -1]], x["logmel_constant_rows"], rtol=0, atol=1e-3)


def test_log_mel_is_librosas() -> None:
    rng = np.random.default_rng(0)
    wave = (0.3 * np.sin(np.arange(3 * RATE) * 0.05) + 0.01 * rng.standard_normal(3 * RATE)).astype(np.float32)
    power = librosa.feature.melspectrogram(y=wave, sr=RATE, n_fft=1024, hop_length=512, n_mels=128)
    np.testing.assert_allclose(log_mel(torch.from_numpy(wave)), librosa.power_to_db(power).T, rtol=0, atol=1e-3)
    short = log_mel(torch.from_numpy(wave[:RATE]))
    assert short.shape == (128, 128)
    assert short[86].abs().max() > 0
    assert not short[87:].any()


def test_same_padding_is_tensorflows() -> None:
    """ceil(size / stride) places, the larger half of the padding behind."""
    for size in range(5, 12):
        for kernel, stride in ((7, 2), (3, 1), (3, 2), (2, 2), (1, 1)):
            x = torch.ones(1, 1, size, 4, 4)
            padded = same(x, (kernel, 1, 1), (stride, 1, 1))
            places = (padded.shape[2] - kernel) // stride + 1
            assert places == -(-size // stride)
            total = max((places - 1) * stride + kernel - size, 0)
            assert padded[0, 0, :, 0, 0].tolist() == [0.0] * (total // 2) + [1.0] * size + [0.0] * (total - total // 2)


@torch.inference_mode()
def test_i3d_counts_its_steps() -> None:
    with torch.device("meta"):
        network = I3D().eval()
        for frames, steps in ((9, 1), (16, 1), (17, 2), (24, 2), (64, 7)):
            assert network(torch.empty(1, 3, frames, 224, 224)).shape == (1, steps, 1024)
    # With the labels' layer that is left out: what the released files hold.
    assert sum(p.numel() for p in network.parameters()) + 400 * 1025 == 12_697_264


@torch.inference_mode()
def test_the_audio_network_counts_its_segments() -> None:
    with torch.device("meta"):
        network = AudioNetwork(527).eval()
        for frames, segments in ((128, 1), (191, 1), (192, 2), (862, 12), (896, 13)):
            assert network(torch.empty(1, frames, 128)).shape == (1, segments, 1024)
    assert sum(p.numel() for p in network.parameters()) == 5_002_047


@torch.inference_mode()
def test_a_unit_has_no_bias_and_normalises_with_its_epsilon() -> None:
    torch.manual_seed(0)
    unit = Unit(2, 3, (3, 3, 3), (2, 2, 2)).eval()
    unit.bn.running_var.uniform_(1e-4, 1e-2)
    x = torch.rand(1, 2, 4, 6, 5)
    padded = functional.pad(x, (1, 1, 0, 1, 0, 1))
    plain = functional.conv3d(padded, unit.conv3d.weight, stride=2)
    want = functional.relu(plain / (unit.bn.running_var + 1e-3).sqrt()[:, None, None, None])
    torch.testing.assert_close(unit(x), want)


def hassony2(name: str) -> str:
    """A tensor's name in the other layout."""
    name = re.sub(r"\.b0\.", ".branch_0.", name)
    name = re.sub(r"\.b([123])([ab])\.", lambda m: f".branch_{m[1]}.{'ab'.index(m[2])}.", name)
    return (name[0].lower() + name[1:]).replace(".bn.", ".batch3d.")


def test_both_layouts_of_i3d(shared: Path) -> None:
    with torch.device("meta"):
        own = set(I3D().state_dict())
    folder = shared / "golden" / "features"
    for layout in ("piergiaj", "hassony2"):
        lines = (folder / f"i3d_{layout}_state_dict.tsv").read_text().splitlines()[1:]
        names = {tensor_name(line.split("\t")[0]) for line in lines}
        assert own <= names
        assert len(names - own) == 2  # the labels' layer


def test_files_of_both_layouts_give_the_same_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = I3D().state_dict()
    assert all(tensor_name(hassony2(name)) == name for name in state)
    old = {hassony2(name): value for name, value in state.items() if "num_batches" not in name}
    torch.save(old, tmp_path / "model_rgb.pth")
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "rgb_imagenet.pt")
    for file in ("model_rgb.pth", "rgb_imagenet.pt"):
        for name, value in read_i3d(tmp_path / file).state_dict().items():
            assert torch.equal(value, state[name]), name


def test_an_audio_network_of_other_labels_is_refused(tmp_path: Path) -> None:
    torch.save(AudioNetwork(23).state_dict(), tmp_path / "audio.pt")
    assert isinstance(read_audio_network(tmp_path / "audio.pt", 23), nn.Module)
    with pytest.raises(DataError, match=r"tensor layer19\.0\.weight has shape \(23, 1024, 1, 1\), expected \(527"):
        read_audio_network(tmp_path / "audio.pt", 527)
