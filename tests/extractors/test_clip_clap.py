"""CLIP and CLAP: networks and front ends against the released code, windows, weights, and what is refused."""

from __future__ import annotations

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.benchmark.assemble import _named
from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.pretrained.checkpoints import fit_state
from avzsl.pretrained.clip_files import LAION, WAVCAPS, Clap, filled
from avzsl.report.open_features import mark
from extractors import clip_clap
from extractors.base import ClipInfo, Window
from extractors.clip_clap.windows import Sounds, crop
from extractors.inversion import invert
from tests.clip_clap_files import SHALLOW, wavcaps_names
from tests.methods.reference import formula, golden

torch.set_num_threads(1)
needs_clip = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("open_clip", "transformers")),
    reason="the extra [clip] is not installed",
)
RANDOM = WeightsConfig(random_seed=0)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-9000, 9000, samples).astype(np.int16)


def listed(shared: Path, name: str, prefix: str) -> dict[str, torch.Tensor]:
    """Return the released network's tensors, by its own names and shapes, with weights by formula."""
    lines = (shared / f"golden/features/{name}_state_dict.tsv").read_text(encoding="utf-8").splitlines()[1:]
    out = {}
    for line in lines:
        tensor, shape = line.split("\t")[:2]
        if not tensor.endswith(("relative_position_index", "attn_mask")) and "audio_feats_extractor" not in tensor:
            sizes = () if shape == "scalar" else tuple(int(size) for size in shape.split("x"))
            out[tensor] = torch.from_numpy(np.asarray(formula(prefix + tensor, sizes)))
    return out


@needs_clip
@pytest.mark.slow
@torch.inference_mode()
def test_pictures_give_the_golden_numbers(shared: Path) -> None:
    from avzsl.pretrained.clip import PictureEncoder
    from extractors.clip_clap.networks import visual_names

    x = golden(shared, "features/clip_vit_b32")
    encoder = PictureEncoder()
    encoder.take(fit_state(Path(), visual_names(listed(shared, "clip_vit_b32", "clip.")), encoder.state_dict()))
    given = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32))
    np.testing.assert_allclose(encoder.visual(given), x["image_f64"], atol=3e-5)


@needs_clip
@pytest.mark.slow
@torch.inference_mode()
def test_sound_gives_the_golden_numbers(shared: Path) -> None:
    from avzsl.pretrained.clap import SoundEncoder, unit, wavcaps_tensors

    x = golden(shared, "features/wavcaps_htsat")
    encoder = SoundEncoder(WAVCAPS)
    encoder.take(fit_state(Path(), wavcaps_tensors(listed(shared, "wavcaps_htsat", "htsat.")), encoder.template()))
    wave = torch.from_numpy(x["wave32k_int16"])[None].float() / 32768
    frames = encoder.front(wave)
    assert tuple(frames[:, None].shape) == tuple(x["logmel_shape"])
    np.testing.assert_allclose(frames[0, [0, 1, 100, 500, 799, 800, 802, 1000]], x["logmel_rows"], atol=1e-3)
    np.testing.assert_allclose(encoder(wave), x["proj_unnormalised"], atol=2e-5)
    np.testing.assert_allclose(unit(encoder(wave)), x["embedding1024"], atol=1e-6)


def test_pictures_are_resized_as_published(shared: Path) -> None:
    from avzsl.pretrained.clip_files import MEAN, STD

    x = golden(shared, "features/pictures_and_plans")
    rgb = x["picture_rgb_uint8"]
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    inverted = invert(bgr)
    for name, picture in (("rgb", rgb), ("bgr", bgr), ("float_wrap", inverted)):
        seen = (crop(picture).astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
        np.testing.assert_allclose(seen.transpose(2, 0, 1).reshape(-1)[::61], x[f"pre_{name}"], atol=2e-6, err_msg=name)


@needs_clip
@pytest.mark.parametrize(("height", "width"), [(240, 320), (321, 240), (224, 224), (100, 701), (719, 405)])
def test_pictures_are_resized_as_torchvision_does(height: int, width: int) -> None:
    from PIL import Image
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    theirs = Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224)])(Image.fromarray(picture))
    np.testing.assert_array_equal(crop(picture), np.asarray(theirs))


@needs_clip
@pytest.mark.parametrize("seconds", [0.6, 3.4, 10.0])
def test_laions_front_end_is_the_librarys(seconds: float) -> None:
    from transformers import ClapFeatureExtractor

    from avzsl.pretrained.clap import LogMel

    wave = noise(round(seconds * LAION.rate))
    extractor = ClapFeatureExtractor(
        frequency_min=50, frequency_max=14000, truncation="rand_trunc", padding="repeatpad"
    )
    theirs = extractor(wave / 32768.0, sampling_rate=LAION.rate, return_tensors="np")["input_features"][0, 0]
    ours = LogMel(LAION.rate, LAION.hop)(torch.from_numpy(filled(wave, LAION))[None].float() / 32768)[0]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_a_short_sound_is_repeated_or_ends_in_silence() -> None:
    wave = np.arange(1, 200001).astype(np.int32)
    repeated, padded = filled(wave, LAION), filled(wave, WAVCAPS)
    assert repeated.size == 480000 and padded.size == 320000
    np.testing.assert_array_equal(repeated[:400000], np.tile(wave, 2))
    assert not repeated[400000:].any() and not padded[200000:].any()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, [(0, 0.5)]), (9.5, [(0, 9.5)]), (10, [(0, 10)]), (12.5, [(0, 10), (2.5, 12.5)]),
        (15, [(0, 10), (5, 15)]), (27, [(0, 10), (5, 15), (10, 20), (15, 25), (17, 27)]),
    ],
)  # fmt: skip
def test_sounds_are_cut_every_five_seconds(seconds: float, expected: list[tuple[float, float]]) -> None:
    rate, cutter, found = 100, Sounds(100), []
    wave = noise(round(seconds * rate))
    for start in range(0, wave.size, rate):
        found += list(cutter.add(wave[start : start + rate]))
        assert cutter._held.size <= 15 * rate
    found += list(cutter.rest())
    assert [(window.start, window.end) for window in found] == expected
    for window in found:
        np.testing.assert_array_equal(window.audio, wave[round(window.start * rate) : round(window.end * rate)])


def test_a_clip_has_a_picture_a_second_and_sounds_of_ten(shared: Path) -> None:
    path = shared / "data/clips/b_10s_25.mp4"
    if not path.is_file():
        pytest.skip("the clips are not here")
    options = clip_clap.Options(picture_weights=RANDOM, sound_weights=RANDOM)
    windows = list(clip_clap.read(path, options, ClipInfo()))
    shown = [window for window in windows if window.visual is not None]
    heard = [window for window in windows if window.audio is not None]
    assert [window.start for window in shown] == list(range(len(shown)))
    assert all(window.visual is not None and window.visual.shape == (224, 224, 3) for window in shown)
    assert 9.5 <= heard[-1].end <= 10.1 and heard[0].start == 0


def shallow(clap: Clap = LAION, dtype: torch.dtype = torch.float32) -> Any:
    from avzsl.pretrained.checkpoints import random_state
    from avzsl.pretrained.clap import SoundEncoder
    from avzsl.pretrained.clip import PictureEncoder
    from extractors.clip_clap.networks import ClipClapNetworks

    picture, sound = PictureEncoder(layers=1), SoundEncoder(clap, SHALLOW)
    picture.take(random_state(picture.state_dict(), 0))
    sound.take(random_state(sound.template(), 0))
    return ClipClapNetworks(clap, sound, picture, {}, torch.device("cpu"), 4, dtype)


@needs_clip
def test_features_are_unit_vectors_and_know_no_neighbours() -> None:
    networks = shallow()
    picture = np.random.default_rng(1).integers(0, 256, (2, 224, 224, 3), np.uint8)
    windows = [
        Window(0, 1, visual=picture[0]), Window(0, 10, audio=noise(480000)), Window(1, 2, visual=picture[1]),
        Window(5, 9, audio=noise(90000)),
    ]  # fmt: skip
    audio, visual = networks.embed(windows)()
    assert audio.shape == (2, 512) and visual.shape == (2, 512)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([audio, visual]), axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(networks.embed(windows[3:])()[0][0], audio[1])
    assert networks.embed(windows[:1])()[0].shape == (0, 512)


@needs_clip
@pytest.mark.parametrize("held_back", [False, True], ids=["torch", "onednn"])
@torch.inference_mode()
def test_batches_and_swapped_layers_give_what_the_libraries_give(
    monkeypatch: pytest.MonkeyPatch, held_back: bool
) -> None:
    from avzsl.pretrained.checkpoints import random_state
    from avzsl.pretrained.clap import SoundEncoder, unit
    from avzsl.pretrained.clip import PictureEncoder
    from avzsl.runtime import products
    from extractors.clip_clap.networks import ClipClapNetworks

    if held_back and not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch is built without oneDNN")
    monkeypatch.setattr(products, "mkl_is_held_back", lambda: held_back)
    picture, sound = PictureEncoder(layers=2), SoundEncoder(WAVCAPS, SHALLOW)
    picture.take(random_state(picture.state_dict(), 0))
    sound.take(random_state(sound.template(), 0))
    frames = np.random.default_rng(1).integers(0, 256, (6, 224, 224, 3), np.uint8)
    wave = noise(320000)
    seen = torch.cat([unit(picture(torch.from_numpy(frame[None]))) for frame in frames])
    heard = unit(sound(torch.from_numpy(wave)[None].float() / 32768))
    windows = [Window(k, k + 1, visual=frame) for k, frame in enumerate(frames)] + [Window(0, 10, audio=wave)]
    for dtype, allowed in ((torch.float32, 1e-6), (torch.bfloat16, 1e-2)):
        # The layers of a copy: they are put in another's place.
        networks = ClipClapNetworks(
            WAVCAPS, copy.deepcopy(sound), copy.deepcopy(picture), {}, torch.device("cpu"), 16, dtype
        )
        audio, visual = networks.embed(windows)()
        assert audio.dtype == visual.dtype == np.float32
        np.testing.assert_allclose(visual, seen, atol=allowed)
        np.testing.assert_allclose(audio, heard, atol=allowed)
        alone = [networks.embed([window])()[1][0] for window in windows[:6]]
        np.testing.assert_allclose(
            visual, alone, atol=1e-6
        )  # to the bit where it was measured, by any library within this
        assert (np.abs(visual - seen.numpy()).max() > 1e-5) == (dtype is torch.bfloat16)


@needs_clip
def test_a_type_that_the_device_lacks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avzsl.runtime.accelerator import Accelerator
    from extractors.clip_clap import networks

    monkeypatch.setattr(networks, "_fill", lambda *_: ("random:1", True))
    monkeypatch.setattr(networks, "check_probe", lambda *_: [])
    monkeypatch.setattr(Accelerator, "lacks", lambda self, dtype: "it is too old" if dtype is torch.bfloat16 else None)
    options = clip_clap.Options(picture_weights=RANDOM, sound_weights=RANDOM, execution="bfloat16")
    with pytest.raises(ConfigError, match=r"execution: bfloat16 is not to be had \(it is too old\); give float32"):
        networks.load_networks(options, "cpu", 1, tmp_path)


@needs_clip
@pytest.mark.parametrize("there", [True, False])
def test_a_processor_without_bfloat16_computes_in_float32_and_says_so(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from extractors.clip_clap import networks

    monkeypatch.setattr(networks.PictureEncoder.__init__, "__defaults__", (1,))
    monkeypatch.setattr(networks.SoundEncoder.__init__, "__defaults__", (SHALLOW,))
    monkeypatch.setattr(networks, "check_probe", lambda *_: [])
    monkeypatch.setattr(networks, "cpu_has_bfloat16", lambda: there)
    options = clip_clap.Options(picture_weights=RANDOM, sound_weights=RANDOM, execution="bfloat16")
    found = networks.load_networks(options, "cpu", 1, tmp_path)
    assert found.measured["execution"] == ("bfloat16" if there else "float32")
    assert ("does not multiply bfloat16" in caplog.text) != there
    # Shards of one run may come from different processors: what was asked for is the features' identity.
    assert found.identity["execution"] == "bfloat16"


@needs_clip
def test_the_activation_of_the_plain_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from avzsl.pretrained import clip
    from avzsl.pretrained.checkpoints import random_state

    monkeypatch.setattr(clip, "MODEL", "ViT-B-32")
    encoder = clip.PictureEncoder(layers=1)
    with pytest.raises(ConfigError, match="another activation"):
        encoder.take(random_state(encoder.state_dict(), 0))


@needs_clip
def test_weights_known_for_other_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from extractors.clip_clap import networks as module

    network = shallow()._picture
    found = module.check_probe("clip", "sha256:0", network)
    monkeypatch.setattr(module, "KNOWN", {("clip", "sha256:0"): [value + 0.03 for value in found]})
    with pytest.raises(ConfigError, match=r"gives .* for the check's input"):
        module.check_probe("clip", "sha256:0", network)


@needs_clip
@pytest.mark.slow
def test_random_weights_are_the_known_ones_at_full_depth(tmp_path: Path) -> None:
    for sound in ("laion", "wavcaps"):
        options = clip_clap.Options(sound=sound, picture_weights=RANDOM, sound_weights=RANDOM)
        identity = clip_clap.load(options, "cpu", 1, tmp_path).identity
        assert identity["random_weights"] is True and identity["label_sets"] == []
        assert set(identity["probe"]) == {"clip", sound}


@needs_clip
def test_another_checkpoint_is_refused_in_a_sentence(tmp_path: Path) -> None:
    torch.save({"visual.proj": torch.zeros(768, 512)}, tmp_path / "c.pt")
    options = clip_clap.Options(picture_weights=WeightsConfig(path=str(tmp_path / "c.pt")), sound_weights=RANDOM)
    with pytest.raises(DataError, match=r"lacks \d+ of the \d+ tensors.*picture_weights.*https://.*600 MB, MIT"):
        clip_clap.load(options, "cpu", 1, tmp_path)


@needs_clip
def test_missing_weights_say_where_they_are_to_be_had() -> None:
    with pytest.raises(ConfigError, match=r"picture_weights: .*https://.*MIT.*; sound_weights: .*https://.*Apache-2.0"):
        clip_clap.check(clip_clap.Options())
    with pytest.raises(ConfigError, match=r"sound_weights: .*WavCaps.*non-commercial"):
        clip_clap.check(clip_clap.Options(sound="wavcaps", picture_weights=RANDOM))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"open_clip is not installed: pip install 'avzsl\[clip\]'"):
        clip_clap.check(clip_clap.Options(picture_weights=RANDOM, sound_weights=RANDOM))


def test_nobody_can_say_what_the_captions_name(tmp_path: Path) -> None:
    extractor = {"label_sets": ["web_captions"]}
    assert mark(extractor) == "open (captions from the web: backbone not disjoint, unknowable)"
    (tmp_path / "audit.json").write_text(json.dumps({"tagged": []}), encoding="utf-8")
    assert _named(tmp_path, extractor, {"dog"}) is None


@needs_clip
def test_wavcaps_names_become_the_librarys() -> None:
    from avzsl.pretrained.checkpoints import random_state
    from avzsl.pretrained.clap import SoundEncoder, wavcaps_tensors

    encoder = SoundEncoder(WAVCAPS, SHALLOW)
    state = random_state(encoder.template(), 0)
    rest = {
        f"audio_encoder.audio_enc.{name}": torch.zeros(1)
        for name in ("head.weight", "tscam_conv.bias", "layers.0.attn_mask")
    }
    found = wavcaps_tensors(wavcaps_names(state) | rest | {"text_proj.0.bias": torch.zeros(1)})
    assert set(found) == set(state)
    assert all(torch.equal(found[name], value) for name, value in state.items())
    # 32 kHz, 1024 numbers, 1001 frames of ten seconds.
    encoder.take(state)
    wave = torch.from_numpy(noise(WAVCAPS.samples))[None].float() / 32768
    assert (WAVCAPS.rate, WAVCAPS.samples, tuple(encoder.front(wave).shape)) == (32000, 320000, (1, 1001, 64))
    assert encoder(wave).shape == (1, 1024)
    assert float(encoder.front(torch.zeros(1, 320000)).max()) == -100
