"""I3D and the audio network: against the released code, padding from its definition, files of both layouts."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from avzsl.config.features import FeaturesConfig, WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from extractors import i3d_audiocnn
from extractors.base import ClipInfo, options_of
from extractors.convolutions import by_onednn, fold
from extractors.i3d_audiocnn.audio_network import AudioNetwork
from extractors.i3d_audiocnn.embedding import I3dAudioNetworks, load_audio_network
from extractors.i3d_audiocnn.i3d import I3D, Unit, same, tensor_name, tensor_names
from extractors.i3d_audiocnn.sound import RATE, Spectrogram, segments
from extractors.i3d_audiocnn.windows import cut, resize_and_crop
from extractors.weights import load_weights
from tests.extractors.test_c3d_vggish import filled, input0
from tests.methods.reference import golden

torch.set_num_threads(1)


def log_mel(wave: np.ndarray) -> torch.Tensor:
    """The frames of a sound that comes in chunks."""
    front = Spectrogram()
    for start in range(0, wave.size, 30_011):
        front.add(wave[start : start + 30_011])
    return torch.from_numpy(front.frames())


@pytest.mark.slow
@torch.inference_mode()
def test_i3d(shared: Path) -> None:
    x = golden(shared, "features/i3d_seed0")
    network = by_onednn(fold(filled(I3D(), "i3d.")), torch.device("cpu"))  # as it is run
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
    folded = fold(copy.deepcopy(network))
    np.testing.assert_allclose(folded(input0((2, 1, 256, 128))[:, 0]), x["net_map"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(maps.mean(1), x["net_feature_f64"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(network.logits(maps).sigmoid().mean(1), x["net_scores"], rtol=1e-4, atol=1e-5)
    frames = log_mel(x["wave44k_int16"].astype(np.float32) / 32768)
    heard = network(frames[None])
    np.testing.assert_allclose(heard[0], x["wave_map"], rtol=1e-3, atol=1e-3 * np.abs(x["wave_map"]).max())


def test_log_mel(shared: Path) -> None:
    x = golden(shared, "features/audiocnn")
    frames = log_mel(x["wave44k_int16"].astype(np.float32) / 32768)
    assert tuple(frames.shape) == tuple(x["logmel_constant_shape"])
    np.testing.assert_allclose(frames[[0, 1, 50, 100, -1]], x["logmel_constant_rows"], rtol=0, atol=1e-3)


def test_log_mel_is_librosas() -> None:
    rng = np.random.default_rng(0)
    wave = (0.3 * np.sin(np.arange(3 * RATE) * 0.05) + 0.01 * rng.standard_normal(3 * RATE)).astype(np.float32)
    power = librosa.feature.melspectrogram(y=wave, sr=RATE, n_fft=1024, hop_length=512, n_mels=128)
    np.testing.assert_allclose(log_mel(wave), librosa.power_to_db(power).T, rtol=0, atol=1e-3)
    short = log_mel(wave[:RATE])
    assert short.shape == (128, 128)
    assert short[86].abs().max() > 0
    assert not short[87:].any()


def test_same_padding_is_tensorflows() -> None:
    """ceil(size / stride) places, the larger half of the padding behind."""
    for size in range(5, 12):
        for kernel, stride in ((7, 2), (3, 1), (3, 2), (2, 2), (1, 1)):
            (front, behind), *others = same(torch.Size([size, 4, 4]), (kernel, 1, 1), (stride, 1, 1))
            places = (front + size + behind - kernel) // stride + 1
            assert places == -(-size // stride)
            total = max((places - 1) * stride + kernel - size, 0)
            assert (front, behind) == (total // 2, total - total // 2)
            assert others == [(0, 0), (0, 0)]


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
        given = WeightsConfig(path=str(tmp_path / file))
        for name, value in load_weights(given, state, tmp_path, tensor_names)[0].items():
            assert torch.equal(value, state[name]), name


def test_an_audio_network_of_any_labels_is_taken(tmp_path: Path) -> None:
    network = AudioNetwork(23)
    network.band_mean.fill_(-30.0)
    torch.save(network.state_dict(), tmp_path / "ours.pt")
    released = {name: value for name, value in AudioNetwork(527).state_dict().items() if not name.startswith("band_")}
    torch.save(released, tmp_path / "theirs.pkl")
    for file, mean in (("ours.pt", -30.0), ("theirs.pkl", 0.0)):
        found, name, is_random = load_audio_network(WeightsConfig(path=str(tmp_path / file)), tmp_path)
        assert found.band_mean.unique().tolist() == [mean]
        assert name.startswith("sha256:")
        assert not is_random
    torch.save({"layer1.0.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(DataError, match=r"other\.pt.*lacks"):
        load_audio_network(WeightsConfig(path=str(tmp_path / "other.pt")), tmp_path)
    with pytest.raises(ConfigError, match="trained by the rule train_audio_network"):
        load_audio_network(WeightsConfig(), tmp_path)


def test_picture_of_i3d(shared: Path) -> None:
    x = golden(shared, "features/pictures_and_plans")
    found = resize_and_crop(x["picture_rgb_uint8"])
    np.testing.assert_array_equal(found.reshape(-1)[::61], x["i3d_resize_crop_rgb_uint8_sample"])


def networks(labels: int = 3) -> I3dAudioNetworks:
    torch.manual_seed(0)
    sound = AudioNetwork(labels)
    for module in sound.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
    return I3dAudioNetworks(I3D(), sound, {}, torch.device("cpu"), 4)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [128, 191, 200, 350, 511, 800])
def test_a_segment_is_that_of_the_whole_sound(frames: int) -> None:
    """Cut into windows, a clip gives what the network makes of it as a whole: the average is over all of its segments."""
    made = networks()
    given = np.random.default_rng(0).normal(-40, 10, (frames, 128)).astype(np.float32)
    windows = list(cut(given, frames * 512 / RATE))
    assert len(windows) == segments(frames)
    assert max(len(window.audio) for window in windows) <= 384
    whole = made._sound(torch.from_numpy(given)[None])[0]
    found, _ = made.embed(windows)()
    np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))


def test_windows_of_a_clip(make_clip: object) -> None:
    info = ClipInfo()
    options = options_of(FeaturesConfig.model_validate({"extractor": "i3d_audiocnn", "train": {}}))
    windows = list(i3d_audiocnn.read(make_clip(seconds=3.0, fps=25), options, info))  # type: ignore[operator]
    shown = [w for w in windows if w.visual is not None]
    assert [(w.start, w.end) for w in shown] == [(0, 1), (1, 2), (2, 3)]
    for number, window in enumerate(shown):
        assert window.visual.shape == (16, 224, 224, 3)
        # Frames 4 to 19 of the second; grey grows by 20 every tenth of one.
        for place in (0, 15):
            grey = int((number + (4 + place) / 25) * 10 + 1e-6) * 20 % 256
            assert abs(float(window.visual[place].mean()) - grey) < 5
    heard = [w for w in windows if w.audio is not None]
    assert len(heard) == segments(3 * RATE // 512 + 1) == 3
    assert [round(w.start, 2) for w in heard] == [0, 0.74, 1.49]


@pytest.mark.slow
def test_random_i3d(make_clip: object, tmp_path: Path) -> None:
    given = {"extractor": "i3d_audiocnn", "picture_weights": {"random_seed": 0}, "sound_weights": {"random_seed": 0}}
    options = options_of(FeaturesConfig.model_validate(given))
    made = i3d_audiocnn.load(options, "cpu", 1, tmp_path)
    assert made.identity["weights"] == "i3d random:0, audiocnn random:0"
    assert made.identity["random_weights"] is True
    windows = list(i3d_audiocnn.read(make_clip(seconds=1.2), options, ClipInfo()))  # type: ignore[operator]
    audio, visual = made.embed(windows)()
    assert audio.shape == visual.shape == (1, 1024)
    assert np.isfinite(audio).all()
    assert visual.any()


def test_weights_that_are_not_named() -> None:
    options = options_of(FeaturesConfig.model_validate({"extractor": "i3d_audiocnn", "train": {}}))
    with pytest.raises(ConfigError, match=r"^picture_weights: name the file as .*piergiaj.*51 MB, Apache-2\.0"):
        i3d_audiocnn.check(options)
    given = {"extractor": "i3d_audiocnn", "picture_weights": {"random_seed": 0}}
    with pytest.raises(ConfigError, match=r"^sound_weights: .*train: \{\}"):
        i3d_audiocnn.check(options_of(FeaturesConfig.model_validate(given)))
    with pytest.raises(ConfigError, match="give `train` or `sound_weights`"):
        options_of(FeaturesConfig.model_validate({**given, "train": {}, "sound_weights": {"random_seed": 0}}))
