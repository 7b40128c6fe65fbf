"""C3D + VGGish as an extractor: the released windows against the released code, the corrected ones from their definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avzsl.config.features import FeaturesConfig, WeightsConfig
from avzsl.config.load import SHIPPED
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import ConfigError, DataError
from extractors import c3d_vggish, extract_shard, pack
from extractors.base import ClipError, ClipInfo, Window, options_of
from extractors.c3d_vggish import Options, released
from extractors.c3d_vggish.embedding import (
    SPORTS1M_MEAN,
    C3dVggishNetworks,
    load_whitening,
    preparation,
    prepare_released,
)
from extractors.c3d_vggish.networks import C3D, VGGish
from extractors.c3d_vggish.picture import resize_and_crop
from extractors.inversion import invert
from tests.methods.reference import golden

from .test_shards import media  # isort: skip

torch.set_num_threads(1)
RANDOM = WeightsConfig(random_seed=0)


def frames_of(windows: list[Window]) -> list[np.ndarray]:
    return [frame for window in windows if window.visual is not None for frame in window.visual]


def test_pictures(shared: Path) -> None:
    x = golden(shared, "features/pictures_and_plans")
    picture = x["picture_rgb_uint8"]
    np.testing.assert_array_equal(resize_and_crop(picture).reshape(-1)[::31], x["c3d_resize_crop_rgb_uint8_sample"])
    for name, given in (("bgr", picture[..., ::-1]), ("float_wrap", invert(picture[..., ::-1]))):
        prepared = prepare_released(torch.from_numpy(resize_and_crop(given)[None]))[:, 0]
        np.testing.assert_array_equal(prepared.flatten()[::31], x[f"c3d_pre_{name}"])


@pytest.mark.parametrize("name", ["b_10s_25.mp4", "e_ucflike_7p4s_25.avi"])
def test_released_windows(shared: Path, name: str) -> None:
    x, key, path = (
        golden(shared, "features/pictures_and_plans"),
        name.split(".", maxsplit=1)[0],
        shared / "data/clips" / name,
    )
    info = ClipInfo()
    heard = np.stack([window.audio for window in released.sounds(path, info)])
    assert heard.shape == tuple(x[f"{key}/audio_examples_shape"])
    difference = np.abs(heard.reshape(len(heard), -1)[:, ::53] - x[f"{key}/audio_examples_sample"])
    assert difference.max() < 0.5  # another resampler
    assert difference.mean() < 0.01
    shown = list(released.pictures(path, False, info))
    assert info.frames == x[f"{key}/frames"][1]
    prepared = torch.stack([prepare_released(torch.from_numpy(window.visual)) for window in shown])
    assert prepared.shape == tuple(x[f"{key}/windows_shape"])
    np.testing.assert_array_equal(prepared.flatten(1)[:, ::4001], x[f"{key}/window_uint8_path_sample"])
    assert [(window.start, window.end) for window in shown[:2]] == [(0, 0.64), (0.64, 1.28)]
    inverted = list(released.pictures(path, True, ClipInfo()))
    window, place = divmod(int(x[f"{key}/frame_index"]), 16)
    prepared = prepare_released(torch.from_numpy(inverted[window].visual))[:, place]
    np.testing.assert_array_equal(prepared.flatten()[::31], x[f"{key}/frame_float_path_sample"])
    announced = x[f"{key}/frames"][0]
    assert sum(len(window.visual) for window in inverted) == announced
    assert all(not frame.any() for frame in frames_of(inverted)[info.frames :])


class Announcing:
    """A stream that says it has more frames than there are."""

    def __init__(self, stream: object, frames: int) -> None:
        self._stream, self.frames = stream, frames

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@pytest.mark.parametrize(("announced", "black"), [(35, 5), (30, 0), (300, 2), (20, 0)])
def test_frames_that_are_announced_and_not_there_are_black(
    make_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, announced: int, black: int
) -> None:
    path = make_clip(seconds=1.2, fps=25)  # 30 frames: two windows, the second of 14
    pick = released.pick_video
    decode = released.decode_video
    monkeypatch.setattr(released, "pick_video", lambda *a, **k: Announcing(pick(*a, **k), announced))
    monkeypatch.setattr(released, "decode_video", lambda container, stream, **k: decode(container, stream._stream, **k))
    black = min(black, 2)
    windows = list(released.pictures(path, True, ClipInfo()))
    assert len(frames_of(windows)) == min(announced, 30) + black
    if black:
        assert not windows[-1].visual[-black:].any()
    assert windows[-1].visual[0].any()
    assert len(frames_of([*released.pictures(path, False, ClipInfo())])) == 30  # ActivityNet's code takes what it reads


def test_a_short_window_ends_in_zeros_after_normalisation() -> None:
    frames = torch.full((10, 112, 112, 3), 255, dtype=torch.uint8)
    window = prepare_released(frames)
    assert window.shape == (3, 16, 112, 112)
    assert not window[:, 10:].any()
    np.testing.assert_allclose(window[:, 0, 0, 0], [(1 - 0.43216) / 0.22803, (1 - 0.394666) / 0.22145, (1 - 0.37645) / 0.216989], rtol=1e-6)  # fmt: skip


def test_what_the_released_code_cannot_use(make_clip: Callable[..., Path]) -> None:
    for options, status in (({"seconds": 0.9}, "too_short"), ({"audio": False}, "no_audio_stream"), ({"video": False}, "no_video_stream")):  # fmt: skip
        with pytest.raises(ClipError) as caught:
            list(released.read_released(make_clip(**{"seconds": 1.2, **options}), False, ClipInfo()))
        assert caught.value.status == status


@pytest.mark.parametrize("fps", [25, 50, 10])
def test_corrected_frames_are_25_a_second(make_clip: Callable[..., Path], fps: int) -> None:
    """Grey grows by 20 every tenth of a second, whatever rate the file has."""
    info = ClipInfo()
    windows = list(c3d_vggish.read(make_clip(seconds=2.0, fps=fps), Options(), info))
    shown = [w for w in windows if w.visual is not None]
    assert [(w.start, round(w.end, 2)) for w in shown] == [
        (0, 0.64),
        (0.64, 1.28),
        (1.28, 1.92),
    ]  # 2 frames are left out
    for number, frame in enumerate(frames_of(shown)):
        # The file's frame on show in the middle of a 25th; where two meet there, either.
        moments = {int((number + 0.5) / 25 * fps + nudge) / fps for nudge in (-1e-6, 1e-6)}
        assert min(abs(float(frame.mean()) - int(moment * 10) * 20 % 256) for moment in moments) < 4
    heard = [w for w in windows if w.audio is not None]
    assert [(w.start, w.end) for w in heard] == [(0, 0.96), (0.96, 1.92)]
    assert all(w.audio.shape == (96, 64) and w.audio.dtype == np.float32 for w in heard)


@pytest.mark.parametrize(("seconds", "ends"), [(0.96, [0.64, 0.96]), (0.92, [0.64]), (1.2, [0.64, 1.2]), (0.4, [0.4])])
def test_a_last_window_of_eight_frames_is_filled_with_its_last(make_clip: Callable[..., Path], seconds: float, ends: list[float]) -> None:  # fmt: skip
    shown = [
        w for w in c3d_vggish.read(make_clip(seconds=seconds, fps=25), Options(), ClipInfo()) if w.visual is not None
    ]
    assert [round(w.end, 2) for w in shown] == ends
    assert all(len(w.visual) == 16 for w in shown)
    count = round((ends[-1] - shown[-1].start) * 25)
    assert all(np.array_equal(frame, shown[-1].visual[count - 1]) for frame in shown[-1].visual[count:])


def test_a_short_sound_ends_in_silence(make_clip: Callable[..., Path]) -> None:
    [sound] = [w for w in c3d_vggish.read(make_clip(seconds=0.7), Options(), ClipInfo()) if w.audio is not None]
    assert sound.end == pytest.approx(0.7, abs=0.05)
    np.testing.assert_allclose(sound.audio[80:], np.log(0.01), atol=1e-6)
    assert sound.audio[:60].max() > 0


def test_corrected_pictures_are_bgr_and_less_the_mean_colour(make_clip: Callable[..., Path]) -> None:
    picture = np.zeros((48, 64, 3), np.uint8) + np.asarray((200, 60, 20), np.uint8)
    path = make_clip("red.mp4", seconds=0.8, picture=lambda moment: picture, options={"crf": "4"})
    for options, expected in (
        (Options(), np.array([20, 60, 200]) - SPORTS1M_MEAN),
        (Options(windows="as_released"), None),
    ):
        [window] = [w for w in released.pictures(path, False, ClipInfo())][:1] if expected is None else [
            w for w in c3d_vggish.read(path, options, ClipInfo()) if w.visual is not None][:1]  # fmt: skip
        prepared = preparation(options)(torch.from_numpy(window.visual))
        assert prepared.shape == (3, 16, 112, 112)
        if expected is not None:
            np.testing.assert_allclose(prepared.mean((1, 2, 3)), expected, atol=12)
        else:
            assert prepared[0].mean() < prepared[1].mean() < prepared[2].mean()


def test_the_mean_volume_is_cropped_as_pictures_are(tmp_path: Path) -> None:
    volume = np.arange(3 * 16 * 128 * 171, dtype=np.float64).reshape(1, 3, 16, 128, 171)
    np.save(tmp_path / "c3d_mean.npy", volume)
    prepared = preparation(Options(mean=str(tmp_path / "c3d_mean.npy")))(
        torch.zeros(16, 112, 112, 3, dtype=torch.uint8)
    )
    np.testing.assert_allclose(prepared, -volume[0, :, :, 8:120, 30:142].astype(np.float32))
    np.save(tmp_path / "other.npy", volume[0])
    with pytest.raises(DataError, match=r"other\.npy.*holds no mean of shape"):
        preparation(Options(mean=str(tmp_path / "other.npy")))


class Small(torch.nn.Module):
    """Stands for a network: a few means of what it is given."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :: max(1, x[0].numel() // self.dim)][:, : self.dim]


def small(options: Options) -> C3dVggishNetworks:
    return C3dVggishNetworks(
        Small(4096), Small(128), preparation(options), {"name": "c3d_vggish"}, torch.device("cpu"), options
    )


def test_a_clip_through_the_pipeline(make_clip: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """Steps with their own times, and averages over all of each modality."""
    settings = FeaturesConfig.model_validate({"extractor": "c3d_vggish", "windows": "as_released"})
    monkeypatch.setattr(c3d_vggish, "load", lambda options, *rest: small(options))
    paths: dict[str, Path | None] = {"a": make_clip(seconds=3.0, fps=25), "b": make_clip(seconds=0.9)}
    shard = (tmp_path / "s.safetensors", tmp_path / "s.parquet")
    table = extract_shard(media(paths), settings, *shard, cache=tmp_path)
    assert list(table["status"]) == ["ok", "too_short"]
    assert (table["audio_steps"][0], table["visual_steps"][0]) == (3, 5)
    steps, _ = read_arrays(shard[0])
    np.testing.assert_allclose(steps["audio_times"], [[0, 0.96], [0.96, 1.92], [1.92, 2.88]])
    np.testing.assert_allclose(steps["visual_times"][:, 1], np.arange(1, 6) * 0.64)
    pack([shard], tmp_path / "p.safetensors", tmp_path / "p.parquet")
    arrays, _ = read_arrays(tmp_path / "p.safetensors")
    for name in ("audio", "visual"):
        np.testing.assert_allclose(arrays[name][0], steps[name].mean(0), rtol=1e-6)
    assert arrays["audio"].shape == (1, 128)
    assert arrays["visual"].shape == (1, 4096)


@pytest.mark.slow
def test_random_networks_are_named_so_and_neighbours_do_not_matter(tmp_path: Path) -> None:
    given = Options(windows="as_released", picture_weights=RANDOM, sound_weights=RANDOM, whitening=RANDOM)
    networks = c3d_vggish.load(given, "cpu", 1, tmp_path)
    assert networks.identity["random_weights"] is True
    assert networks.identity["weights"] == "c3d random:0, vggish random:0, pca random:0"
    assert networks.identity["windows"] == "as_released, bgr"
    rng = np.random.default_rng(0)
    windows = [
        Window(0.0, 0.96, audio=rng.standard_normal((96, 64)).astype(np.float32)),
        Window(0.0, 0.64, visual=rng.integers(0, 255, (16, 112, 112, 3), np.uint8)),
        Window(0.64, 1.28, visual=rng.integers(0, 255, (3, 112, 112, 3), np.uint8)),
    ]
    audio, visual = networks.embed(windows)()
    assert audio.shape == (1, 128)
    assert audio.min() >= 0
    assert audio.max() <= 255
    np.testing.assert_array_equal(audio, np.floor(audio))
    assert visual.shape == (2, 4096)
    assert visual.min() >= 0
    np.testing.assert_array_equal(networks.embed(windows[2:])()[1][0], visual[1])


def test_released_files_are_loaded_by_layout(tmp_path: Path) -> None:
    """Zeros in the place of trained numbers, with the names of the released files."""
    with torch.device("meta"):
        picture, sound = C3D().state_dict(), VGGish().state_dict()
    for name, state in (("c3d.pickle", picture), ("v.pth", sound)):
        torch.save({key: torch.zeros(value.shape) for key, value in state.items()}, tmp_path / name)
    np.savez(tmp_path / "pca.npz", pca_eigen_vectors=np.eye(128), pca_means=np.zeros((128, 1)))
    given = Options(
        windows="as_released", colours="inverted",
        picture_weights=WeightsConfig(path=str(tmp_path / "c3d.pickle")), sound_weights=WeightsConfig(path=str(tmp_path / "v.pth")),
        whitening=WeightsConfig(path=str(tmp_path / "pca.npz")),
    )  # fmt: skip
    networks = c3d_vggish.load(given, "cpu", 1, tmp_path)
    for name in ("c3d.pickle", "v.pth"):  # 600 MB
        (tmp_path / name).unlink()
    assert networks.identity["random_weights"] is False
    assert networks.identity["windows"] == "as_released, inverted"
    assert networks.identity["postprocess"] == "quantised"
    assert networks.identity["weights"].count("sha256:") == 3
    audio, _ = networks.embed([Window(0.0, 0.96, audio=np.zeros((96, 64), np.float32))])()
    assert set(audio[0]) == {127.0}  # 0 is the middle of 0 ... 255, truncated


@pytest.mark.parametrize("name", ["c3d-vggish", "c3d-vggish-as-released", "c3d-vggish-as-released-activitynet"])
def test_missing_weights_are_one_sentence(name: str) -> None:
    values = yaml.safe_load((SHIPPED / "features" / f"{name}.yaml").read_text(encoding="utf-8"))
    options = options_of(FeaturesConfig.model_validate(values))
    with pytest.raises(ConfigError, match=r"^picture_weights: name the file as .*imagelab.*320 MB.*licence"):
        c3d_vggish.check(options)
    with pytest.raises(ConfigError, match=r"^sound_weights: name the file as .*torchvggish.*288 MB, Apache"):
        c3d_vggish.check(options.model_copy(update={"picture_weights": RANDOM}))
    given = options.model_copy(update={"picture_weights": RANDOM, "sound_weights": RANDOM})
    if name == "c3d-vggish":
        c3d_vggish.check(given)
    else:
        with pytest.raises(ConfigError, match=r"^whitening: name the file as"):
            c3d_vggish.check(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colours": "inverted"}, "`colours` has no effect with `windows: corrected`"),
        ({"windows": "as_released", "mean": "m.npy"}, "`mean` has no effect"),
        ({"layer": "fc8"}, "layer"),
        ({"postprocess": "rounded"}, "postprocess"),
    ],
)
def test_options_that_do_not_fit(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        options_of(FeaturesConfig.model_validate({"extractor": "c3d_vggish", **given}))


def test_postprocess_follows_the_windows(tmp_path: Path) -> None:
    assert Options().after_vggish == "none"
    assert Options(windows="as_released").after_vggish == "quantised"
    assert Options(windows="as_released", postprocess="pca").after_vggish == "pca"
    network, name = load_whitening(Options(postprocess="pca", whitening=RANDOM), tmp_path)
    assert name == "random:0"
    assert not torch.equal(network(torch.ones(1, 128)), network(torch.ones(1, 128)).floor())
