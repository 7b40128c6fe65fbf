"""A bundle is verified from what it holds, and what was changed in it is named."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import small, write
from avzsl.cli import main
from avzsl.config.load import SHIPPED, Benchmark, Method, load_project
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import BENCHMARK_CLIPS, PREDICTIONS
from avzsl.contracts.tables import read_table, write_table
from avzsl.results.places import Places
from avzsl.results.project import write_project
from avzsl.share import merge, opened
from avzsl.training.run import run


def results(root: Path, clips: int = 6) -> Path:
    """Train one method on a synthetic benchmark, as a results folder."""
    counts, vectors = small((6, 3, 3), clips=clips)
    files = write(root / "in", counts, vectors)
    places = Places(root / "results")
    assemble(files.split, files.pack, [], files.embeddings, places.benchmark("toy"))
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / "cjme.yaml").read_text()))
    method = Method("cjme", config, config.options, TrainingConfig(epochs=2, batches_per_epoch=5, batch_size=16))
    benchmark = Benchmark("toy", "demo", "default", "selavi-random", "corrected", ("cjme",), (0,), Overrides())
    out = places.run("toy", "cjme", 0).folder
    run(places.benchmark("toy"), files.pack[0], files.embeddings, method, benchmark, 0, out, "cpu")
    path = root / "config.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "benchmarks": {"toy": {"dataset": "demo", "features": "selavi-random"}},
                "methods": ["cjme"],
                "seeds": [0],
                "results": str(places.results),
            }
        )
    )
    write_project(load_project(path))
    return places.results


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return results(tmp_path_factory.mktemp("share"))


@pytest.fixture
def bundle(finished: Path, tmp_path: Path) -> Path:
    assert main(["bundle", str(finished), "--out", str(tmp_path / "mine.zip")]) == 0
    return tmp_path / "mine.zip"


def changed(bundle: Path, name: str, content: bytes | None) -> Path:
    """Return a copy of a bundle with one file replaced, added or left out."""
    out = bundle.with_name("changed.zip")
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            if info.filename != name:
                new.writestr(info, old.read(info))
        if content is not None:
            new.writestr(name, content)
    return out


def test_a_bundle_holds_no_media_and_verifies(bundle: Path, finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(bundle)]) == 0
    said = capsys.readouterr().out
    hm = json.loads(Places(finished).run("toy", "cjme", 0).record.read_text())["hm"]
    assert f"HM {hm:.2f}" in said and "all 1 runs verified" in said
    with zipfile.ZipFile(bundle) as archive:
        assert {Path(name).suffix for name in archive.namelist()} <= {".json", ".parquet", ".safetensors"}
        assert not [name for name in archive.namelist() if "model" in name or "packed" in name]


def test_equal_results_give_equal_bytes(bundle: Path, finished: Path, tmp_path: Path) -> None:
    assert main(["bundle", str(finished), "--out", str(tmp_path / "again.zip")]) == 0
    assert bundle.read_bytes() == (tmp_path / "again.zip").read_bytes()
    assert main(["bundle", str(finished), "--out", str(bundle)]) == 1, "a bundle is not written over"


RUN = "benchmarks/toy/runs/cjme/seed-0"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (f"{RUN}/run.json", b"{}", "is not as it was"),
        (f"{RUN}/history.parquet", None, "missing from the bundle"),
        ("benchmarks/toy/../../../evil", b"x", "no part of a bundle"),
        ("/etc/evil", b"x", "no part of a bundle"),
        ("benchmarks/other/clips.parquet", b"x", "not named in the bundle"),
        ("bundle.json", b"[]", "does not hold a JSON object"),
        ("bundle.json", b'{"format": 99}', "has format 99"),
    ],
)
def test_a_changed_bundle_is_refused(bundle: Path, name: str, content: bytes | None, said: str) -> None:
    with pytest.raises(DataError, match=said), opened(changed(bundle, name, content)):
        pass


@pytest.mark.parametrize("part", ["predictions.parquet", "history.parquet", "run.json"])
def test_a_run_without_a_file_is_refused_though_no_record_names_it(bundle: Path, tmp_path: Path, part: str) -> None:
    from avzsl.contracts.records import read_record, write_record

    with zipfile.ZipFile(bundle) as archive:
        archive.extract("bundle.json", tmp_path)
    record = read_record(tmp_path / "bundle.json")
    del record["files"][f"{RUN}/{part}"]
    write_record(tmp_path / "bundle.json", record)
    less = changed(changed(bundle, f"{RUN}/{part}", None).rename(tmp_path / "less.zip"), "bundle.json", (tmp_path / "bundle.json").read_bytes())  # fmt: skip
    with pytest.raises(DataError, match=f"{part} is missing"), opened(less):
        pass


def test_what_is_no_archive_is_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "half.zip").write_bytes(bundle.read_bytes()[:-200])
    assert main(["verify", str(tmp_path / "half.zip")]) == 1
    assert "is not a whole bundle" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "none.zip")]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_forged_scores_are_found_though_every_hash_is_right(finished: Path, tmp_path: Path) -> None:
    """A forger makes a bundle of an edited folder with the tool itself turned off: the numbers must follow anyway."""
    from avzsl.contracts.records import read_record, write_record
    from avzsl.share import bundle as module

    forged = tmp_path / "results"
    shutil.copytree(finished, forged)
    path = Places(forged).run("toy", "cjme", 0).record
    write_record(path, read_record(path) | {"hm": 99.0})
    project = load_project(finished.parent / "config.yaml", {"benchmarks": {"toy": {"dataset": "demo", "features": "selavi-random"}}, "methods": ["cjme"], "seeds": [0], "results": str(forged)})  # fmt: skip
    with pytest.raises(DataError, match="hm is 99"):
        module.write_bundle(project, tmp_path / "b.zip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "recompute", lambda folder: {})
        module.write_bundle(project, tmp_path / "b.zip")
    with pytest.raises(DataError, match="hm is 99"), opened(tmp_path / "b.zip"):
        pass


def test_different_test_sets_are_never_one_column(bundle: Path, finished: Path, tmp_path: Path) -> None:
    """The same benchmark where one test clip was lost: another task, with the scores on the common clips beside."""
    with opened(bundle) as one:
        task = one.tasks["toy"]
        lost = task.tested["clip_id"].iloc[0]
        clips = task.clips.assign(usable=task.clips["usable"] & (task.clips["clip_id"] != lost))
        from dataclasses import replace

        other = replace(
            one, name="other", tasks={"toy": replace(task, clips=clips)},
            runs=[replace(r, predictions=r.predictions[r.predictions["clip_id"] != lost]) for r in one.runs],
        )  # fmt: skip
        table = merge([one, other], tmp_path / "board")
        again = merge([one, replace(one, name="same")], tmp_path / "same")
    assert table["task"].nunique() == 2
    assert set(table["common_clips"]) == {len(task.tested) - 1}
    assert table["common_hm"].nunique() == 1
    page = (tmp_path / "board/leaderboard.html").read_text()
    assert page.count("<table>") == 2 and "common clips" in page
    assert again["task"].nunique() == 1 and again["common_clips"].isna().all()
    assert pd.read_csv(tmp_path / "board/leaderboard.csv")["bundle"].tolist() == table["bundle"].tolist()


def test_bundles_of_one_name_are_told_apart(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for person in ("ann", "bob"):
        (tmp_path / person).mkdir()
        shutil.copy(bundle, tmp_path / person / "bundle.zip")
    monkeypatch.chdir(tmp_path)
    assert main(["merge", "ann/bundle.zip", "bob/bundle.zip", "bob/bundle.zip", "--out", "both"]) == 0
    assert sorted(pd.read_csv("both/leaderboard.csv")["bundle"]) == ["ann/bundle", "bob/bundle"]


def test_a_run_on_other_clips_than_its_benchmark_is_found(finished: Path, tmp_path: Path) -> None:
    edited = tmp_path / "results"
    shutil.copytree(finished, edited)
    path = Places(edited).benchmark_clips("toy")
    clips = read_table(path, BENCHMARK_CLIPS)
    tested = read_table(Places(edited).run("toy", "cjme", 0).predictions, PREDICTIONS)["clip_id"]
    clips.loc[clips["clip_id"] == tested.iloc[0], "usable"] = False
    write_table(path, clips, BENCHMARK_CLIPS)
    assert main(["bundle", str(edited), "--out", str(tmp_path / "b.zip")]) == 0
    with pytest.raises(DataError, match="holds other clips"), opened(tmp_path / "b.zip"):
        pass


def test_a_benchmark_that_validates_on_tested_classes_says_so_wherever_its_numbers_stand(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = tmp_path / "results"
    shutil.copytree(finished, edited)
    places = Places(edited)
    clips = read_table(places.benchmark_clips("toy"), BENCHMARK_CLIPS)
    tested = clips.loc[clips["subset"] == "test_unseen", "class_name"].iloc[0]
    clips.loc[clips["usable"] & (clips["subset"] == "val_unseen"), "class_name"] = tested
    write_table(places.benchmark_clips("toy"), clips, BENCHMARK_CLIPS)
    run = places.run("toy", "cjme", 0)
    own = read_table(run.predictions, PREDICTIONS)[["clip_id", "class_name"]].to_numpy().tolist()
    rows = [f"{clip},{name},AV,False" for clip, name in own]
    (tmp_path / "labels.csv").write_text("\n".join(["video_id,label,modality,static_image", *rows]))
    words = "1 of the 3 classes tested as unseen are those that it validates on"
    for command in (
        ["recompute", str(run.folder)],
        ["multilabel", str(run.folder), "--labels", str(tmp_path / "labels.csv")],
        ["diff", str(finished), str(edited)],
    ):
        assert main(command) == 0
        assert " ".join(capsys.readouterr().out.split()).count(words) == 1, command
    assert main(["bundle", str(edited), "--out", str(tmp_path / "b.zip")]) == 0
    assert main(["merge", str(tmp_path / "b.zip"), "--out", str(tmp_path / "board")]) == 0
    assert words in (tmp_path / "board/leaderboard.html").read_text()
    assert pd.read_csv(tmp_path / "board/leaderboard.csv")["classes_validated_and_tested"].tolist() == [1]
    assert main(["recompute", str(finished / "benchmarks/toy/runs/cjme/seed-0")]) == 0
    assert words not in capsys.readouterr().out


def verify_folder(folder: Path) -> int:
    """Open every bundle of a folder and return how many there are."""
    paths = sorted(folder.glob("*.zip"))
    for path in paths:
        with opened(path):
            pass
    return len(paths)


def test_every_bundle_of_the_leaderboard_verifies() -> None:
    """What a pull request's bundle has to pass."""
    verify_folder(Path(__file__).parents[2] / "leaderboard")


def test_a_pull_request_with_a_changed_bundle_fails(bundle: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    board.mkdir()
    shutil.copy(bundle, board / "a-good.zip")
    assert verify_folder(board) == 1
    shutil.move(changed(bundle, f"{RUN}/predictions.parquet", b"x"), board / "b-changed.zip")
    with pytest.raises(DataError, match=r"b-changed\.zip.*is not as it was"):
        verify_folder(board)
