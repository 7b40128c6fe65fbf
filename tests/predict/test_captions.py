"""`avzsl predict --features clip-clap`: any phrases by CLIP's and CLAP's text, from files alone."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from avzsl.cli import main
from avzsl.config.features import FeaturesConfig
from avzsl.config.load import load_project
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.predict.captions import predict_captions
from avzsl.results.project import write_project
from tests.clip_clap_files import SHALLOW, write_clip_weights, write_laion
from tests.embeddings.test_clip_clap import WORDS
from tests.workflow.conftest import write_config

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("open_clip", "transformers")),
    reason="the extra [clip] is not installed",
)
torch.set_num_threads(1)


def make_clip(path: Path) -> Path:
    """Write two seconds of noise and a tone."""
    import av

    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        video, sound = out.add_stream("mpeg4", rate=10), out.add_stream("aac", rate=48000, layout="mono")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(20):
            out.mux(
                video.encode(av.VideoFrame.from_ndarray(rng.integers(0, 256, (48, 64, 3), np.uint8), format="rgb24"))
            )
        out.mux(video.encode(None))
        wave = (0.3 * np.sin(np.arange(96000) / 20)).astype(np.float32)
        for start in range(0, 95000, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, start
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of both networks, one layer deep, with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    write_clip_weights(folder / "clip.safetensors")
    write_laion(folder, WORDS)
    return folder


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build both networks one layer deep."""
    from avzsl.pretrained import clip
    from extractors.clip_clap import networks

    deep, sound = clip.empty_clip, networks.SoundEncoder
    monkeypatch.setattr(clip, "empty_clip", lambda layers=None: deep(1))

    class Sound(sound):  # type: ignore[misc, valid-type]
        def __init__(self, clap: object) -> None:
            super().__init__(clap, SHALLOW)

    monkeypatch.setattr(networks, "SoundEncoder", Sound)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"asked the network: {arguments}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def clip_clap(folder: Path, **more: object) -> FeaturesConfig:
    given = {
        "picture_weights": {"path": str(folder / "clip.safetensors")},
        "sound_weights": {"path": str(folder / "model.safetensors")},
    }
    return FeaturesConfig.model_validate({"extractor": "clip_clap", **given, **more})


@pytest.mark.usefixtures("shallow", "offline")
def test_any_phrases_are_ranked_from_files_alone(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/d.yaml").write_text(
        yaml.safe_dump({"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}})
    )
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"benchmarks": {"d": {"dataset": "d"}}, "results": str(tmp_path / "r")})
    )
    (tmp_path / "features").mkdir()
    (tmp_path / "features/mine.yaml").write_text(
        yaml.safe_dump(clip_clap(weights).model_dump(mode="json", exclude_unset=True))
    )
    asked = ["predict", str(clip), str(tmp_path / "none.mp4"), "--features", "mine", "--labels", "dog, loud bell,dog"]
    assert main([*asked, "--config", str(tmp_path / "config.yaml"), "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["label"] for one in found["labels"]] == ["dog", "loud bell"]
    first, second = found["clips"]
    assert first["status"] == "ok" and {one["label"] for one in first["ranking"]} == {"dog", "loud bell"}
    distances = [one["distance"] for one in first["ranking"]]
    assert distances == sorted(distances) and all(0 <= d <= 2 for d in distances) and first["seconds"]
    assert second["status"] == "missing" and second["ranking"] == []
    assert main([*asked, "--config", str(tmp_path / "config.yaml"), "--run", "x"]) != 0
    assert "not both" in capsys.readouterr().err


@pytest.mark.usefixtures("shallow")
def test_what_is_missing_or_wrong_is_said(weights: Path, tmp_path: Path) -> None:
    def refused(features: FeaturesConfig, said: str, kind: type[Exception] = ConfigError) -> None:
        with pytest.raises(kind, match=said) as caught:
            predict_captions([tmp_path / "a.mp4"], ["dog"], "mine", features)
        assert "\n" not in str(caught.value)

    refused(FeaturesConfig(extractor="selavi"), r"is of the extractor selavi")
    refused(clip_clap(weights, picture_weights={}), r"picture_weights: name the file .*https://.*600 MB, MIT")
    refused(clip_clap(weights, picture_weights={"random_seed": 0}), r"picture_weights names no file, and phrases")
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "model.safetensors").write_bytes((weights / "model.safetensors").read_bytes())
    sound = {"path": str(alone / "model.safetensors")}
    refused(
        clip_clap(weights, sound_weights=sound),
        r"has no config.json and no tokenizer.json; put them there: .*https://.*2 MB, Apache-2.0",
    )
    refused(
        clip_clap(weights, sound="wavcaps", sound_weights=sound),
        r"no tokenizer.json or vocab.txt .*https://.*Apache-2.0",
    )
    # Another network's file: which key, and what belongs there.
    other = {"path": str(weights / "clip.safetensors")}
    wrong = r"clip.safetensors: lacks \d+ of the \d+ .* name it as `sound_weights`: .*https://.*620 MB, Apache-2.0"
    refused(clip_clap(weights, sound_weights=other), wrong, DataError)
    other = {"path": str(weights / "model.safetensors")}
    wrong = r"model.safetensors: lacks .* name it as `picture_weights`: .*https://.*600 MB, MIT"
    refused(clip_clap(weights, picture_weights=other), wrong, DataError)
    # What reads phrases is missing from a file that has the rest.
    pictures = {k: v for k, v in safetensors.torch.load_file(weights / "clip.safetensors").items() if "visual." in k}
    safetensors.torch.save_file(pictures, tmp_path / "half.safetensors")
    refused(
        clip_clap(weights, picture_weights={"path": str(tmp_path / "half.safetensors")}),
        r"half.safetensors: lacks .* fetch the right file: .*https://.*600 MB, MIT",
        DataError,
    )


@torch.inference_mode()
def test_transformers_names_are_read_too(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel

    from avzsl.pretrained.checkpoints import random_state
    from avzsl.pretrained.clip import PictureEncoder, TextEncoder
    from avzsl.pretrained.convert import convert
    from extractors.clip_clap.networks import visual_names

    parts = {"text_config": {"num_hidden_layers": 1}, "vision_config": {"num_hidden_layers": 1}}
    theirs = CLIPModel(CLIPConfig(**parts)).eval()
    state = random_state(theirs.state_dict(), 0) | {"logit_scale": torch.tensor(1.0)}
    state = {name: value for name, value in state.items() if not name.endswith("position_ids")}
    theirs.load_state_dict(state, strict=False)
    torch.save(state, tmp_path / "clip.bin")
    convert(tmp_path / "clip.bin", tmp_path / "clip.safetensors")
    picture = PictureEncoder(layers=1)
    picture.take(visual_names(safetensors.torch.load_file(tmp_path / "clip.safetensors")))
    shown = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8))
    seen = theirs.get_image_features(pixel_values=picture.normalised(shown))
    seen = getattr(seen, "pooler_output", seen)
    torch.testing.assert_close(picture(shown), seen, atol=1e-4, rtol=1e-4)
    import open_clip

    tokens = open_clip.SimpleTokenizer()(["a dog barks"])
    read = theirs.get_text_features(input_ids=tokens)
    read = torch.nn.functional.normalize(getattr(read, "pooler_output", read), dim=1)
    torch.testing.assert_close(
        TextEncoder(tmp_path / "clip.safetensors", layers=1).encode(["a dog barks"]), read, atol=1e-5, rtol=1e-4
    )


def test_the_shipped_feature_set_needs_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert main(["predict", "a.mp4", "--features", "clip-clap", "--labels", "dog"]) != 0
    said = capsys.readouterr().err
    # Both at once, the file to edit, and where each is to be had.
    assert (
        "no run has built anything" not in said and "config/features/clip-clap.yaml" in said and said.count("\n") == 1
    )
    assert "`picture_weights: {path: FILE}`" in said and "`sound_weights: {path: FILE}`" in said
    assert "600 MB, MIT" in said and "620 MB, Apache-2.0" in said and "tokenizer.json beside it" in said
    # A file of that name is read, with or without a config.yaml beside it.
    (tmp_path / "config/features").mkdir(parents=True)
    own = {
        "extractor": "clip_clap",
        "picture_weights": {"path": "a.safetensors"},
        "sound_weights": {"path": "b.safetensors"},
    }
    (tmp_path / "config/features/clip-clap.yaml").write_text(yaml.safe_dump(own))
    assert main(["predict", "a.mp4", "--features", "clip-clap", "--labels", "dog"]) != 0
    said = capsys.readouterr().err
    assert "picture_weights.path: there is no file" in said and "sound_weights.path: there is no file" in said
    assert said.strip().startswith("avzsl predict: config/features/clip-clap.yaml: ")


def test_the_feature_set_is_the_file_that_is_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"")
    own = {"extractor": "clip_clap", "picture_weights": {"random_seed": 0}, "sound_weights": {"random_seed": 0}}
    write_config(tmp_path, "features/mine.yaml", own)
    write_config(tmp_path, "datasets/d.yaml", {"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}})
    benchmark = {"dataset": "d", "features": "mine"}
    project = load_project(
        write_config(tmp_path, "config.yaml", {"benchmarks": {"d": benchmark}, "results": "results"})
    )
    write_project(project)  # what the last run was built with
    write_config(tmp_path, "features/mine.yaml", own | {"picture_weights": {"path": "b.safetensors"}})
    assert main(["predict", "a.mp4", "--features", "mine", "--labels", "dog"]) != 0
    assert (
        "config/features/mine.yaml: picture_weights.path: there is no file or folder b.safetensors"
        in capsys.readouterr().err
    )
