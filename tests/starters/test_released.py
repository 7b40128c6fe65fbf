"""`avzsl new ucf --released PATH`."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from avzsl.cli import main
from avzsl.config.load import load_project
from avzsl.contracts.errors import DataError
from avzsl.published import for_benchmark
from extractors.released_features import import_features
from splits import build_split
from splits.catalogs import build_catalog
from splits.catalogs.released import source_of
from tests.starters.released_world import CLASSES, members, unpacked, zipped


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


@pytest.mark.parametrize("packed", [True, False])
def test_an_archive_and_a_folder_become_a_project_that_is_whole(
    tmp_path: Path, packed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    place = zipped(tmp_path / "UCF.zip", members()) if packed else unpacked(tmp_path / "got", members())
    assert main(["new", "ucf", "--released", str(place)]) == 0
    said = capsys.readouterr().out
    assert "70 clips of 101 classes" in said and "now: snakemake --cores all\n" in said
    loaded = load_project("config/config.yaml")
    assert list(loaded.benchmarks) == [
        "ucf-released", "ucf-released-as-released", "ucf-released-cls", "ucf-released-cls-as-released",
    ]  # fmt: skip
    dataset = loaded.dataset("ucf-released")
    assert dataset.phrases["CuttingInKitchen"] == "Cut Kitchen"
    catalog = build_catalog("ucf-released", dataset, tmp_path)
    assert len(catalog.classes) == 101, "classes that take no part have their place in the released order"
    assert set(catalog.clips["class_name"]) == set(CLASSES)
    split = build_split(catalog.clips, catalog.classes, dataset.splits["published"])
    assert split.counts()["train"] == 18 and split.counts()["test_unseen"] == 20
    for benchmark in loaded.benchmarks.values():
        rows = for_benchmark(benchmark.dataset, benchmark.features, dataset.splits[benchmark.split], False)
        assert "avca" in {row.method for row in rows}, "published numbers stand beside"
    assert main(["new", "ucf", "--released", str(place)]) == 1, "nothing is written over"


def test_a_project_that_is_there_keeps_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("config").mkdir()
    Path("config/config.yaml").write_text("benchmarks: demo\n")
    assert main(["new", "ucf", "--released", str(zipped(tmp_path / "u.zip", members(cls=False)))]) == 0
    assert "--configfile config/ucf-released.yaml" in capsys.readouterr().out
    assert Path("config/config.yaml").read_text() == "benchmarks: demo\n"
    for named in (["config/ucf-released.yaml"], ["--config", "config/ucf-released.yaml"]):
        assert main(["check", *named]) == 0
        assert "ucf-released: data set ucf-released, split published" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("_split", "no class lists (main_split/stage_1_train.csv) of UCF"),
        (".npy", "no word vectors (word_embeddings_ucf_normed.npy) of UCF"),
        (".h5", "no features (features/main_features/"),
    ],
)
def test_what_is_missing_is_said_with_its_place(
    tmp_path: Path, lost: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    files = members()
    rest = zipped(tmp_path / "a.zip", {name: c for name, c in files.items() if lost not in name})
    assert main(["new", "ucf", "--released", str(rest)]) == 1
    error = capsys.readouterr().err
    assert said in error and "github.com/ExplainableML/AVCA-GZSL" in error
    other = zipped(tmp_path / "b.zip", {name: c for name, c in files.items() if lost in name})
    assert main(["new", "ucf", "--released", str(rest), str(other)]) == 0, "found in the other archive"


def test_three_data_sets_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    unpacked(tmp_path / "all", members("UCF", cls=False) | members("VGGSound", cls=False))
    assert main(["new", "ucf", "--released", str(tmp_path / "all")]) == 0
    assert "all/UCF/" in Path("config/features/ucf-released.yaml").read_text()


@pytest.mark.parametrize(
    ("steps", "kind", "split", "seconds"),
    [
        ("cls_features_non_averaged", "temporal", "published_cls", (0.96, 0.64)),
        ("main_features_non_averaged", "temporal-main", "published", (1.0, 1.0)),
    ],
)
def test_temporal_features_are_trained_on_by_tcaf(
    tmp_path: Path, steps: str, kind: str, split: str, seconds: tuple[float, float]
) -> None:
    assert main(["new", "ucf", "--released", str(zipped(tmp_path / "t.zip", members(steps=steps)))]) == 0
    loaded = load_project("config/config.yaml")
    benchmark = loaded.benchmarks[f"ucf-released-{kind}"]
    assert (benchmark.split, benchmark.methods) == (split, ("tcaf", "avca")) and len(loaded.benchmarks) == 2
    features = loaded.features(benchmark.features)
    assert (features.audio_step_seconds, features.visual_step_seconds) == seconds
    dataset = loaded.dataset("ucf-released")
    rows = for_benchmark(benchmark.dataset, benchmark.features, dataset.splits[split], False)
    assert "tcaf" in {row.method for row in rows}, "published numbers stand beside"


def test_all_data_sets_in_one_archive_and_the_archive_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The authors' archive holds all three, with the caches of their code; steps are in one of another name."""
    both = members("UCF") | members("VGGSound", dataset="vggsound")
    archive = zipped(tmp_path / "all.zip", {f"avgzsl_benchmark_datasets/{name}": c for name, c in both.items()})
    steps = zipped(tmp_path / "ucf-temporal.zip", members(steps="cls_features_non_averaged"))
    assert main(["new", "activitynet", "--released", str(archive)]) == 1
    assert "no features" in capsys.readouterr().err, "not those of another data set"
    assert main(["new", "ucf", "--released", str(archive), str(steps)]) == 0
    assert {path.stem for path in Path("config/features").iterdir()} == {
        "ucf-released", "ucf-released-cls", "ucf-released-temporal",
    }  # fmt: skip
    assert "avgzsl_benchmark_datasets/UCF/" in Path("config/features/ucf-released.yaml").read_text()


def test_cls_features_ask_for_their_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: content for name, content in members().items() if "cls_split" not in name}
    assert main(["new", "ucf", "--released", str(zipped(tmp_path / "u.zip", files))]) == 1
    assert "no class lists (cls_split/stage_1_train.csv) of UCF" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_a_broken_archive_is_a_sentence(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "u.zip").write_bytes(content)
    assert main(["new", "ucf", "--released", str(tmp_path / "u.zip")]) == 1
    assert "nor a whole zip archive" in capsys.readouterr().err


def test_the_three_as_one_run(tmp_path: Path) -> None:
    for name, word in (("ucf", "UCF"), ("vggsound", "VGGSound"), ("activitynet", "ActivityNet")):
        files = members(word, cls=False, dataset=name)
        assert main(["new", name, "--released", str(zipped(tmp_path / f"{name}.zip", files))]) == 0
    from avzsl.config.shipped import CONFIG

    Path("config/published.yaml").write_bytes((CONFIG / "published.yaml").read_bytes())
    loaded = load_project("config/published.yaml")
    assert len(loaded.benchmarks) == 6 and {len(b.methods) for b in loaded.benchmarks.values()} == {8}


def test_a_file_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    for modality in ("audio", "video"):
        path = tmp_path / modality / "stage_1_train" / "Archery.h5"
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            file.create_dataset("data", shape=(100_000_000, 512), dtype="f4", chunks=(1024, 512))
            file["video_urls"] = np.array([b"a"], dtype="S80")
    with pytest.raises(DataError, match=r"declares 204800000000 bytes and holds 0"):
        import_features(tmp_path, tmp_path / "a.safetensors", tmp_path / "a.parquet")


def test_clips_of_one_recording_are_known_by_their_names() -> None:
    assert source_of("v_Archery_g01_c01") == source_of("v_Archery_g01_c07") != source_of("v_Archery_g02_c01")
    assert source_of("abcdefghij-_000030") == "abcdefghij-"


def test_doctor_knows_that_nothing_is_fetched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = zipped(tmp_path / "u.zip", members(cls=False))
    assert main(["new", "ucf", "--released", str(archive)]) == 0
    capsys.readouterr()
    assert main(["doctor", "--config", "config/config.yaml"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no video is fetched" in said and "yt-dlp" not in said
    archive.unlink()
    assert main(["doctor", "--config", "config/config.yaml"]) == 1
    assert "does not exist" in " ".join(capsys.readouterr().out.split())
