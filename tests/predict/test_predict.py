from __future__ import annotations

import json
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from avzsl.cli import main
from avzsl.config.load import Project, load_project
from avzsl.contracts.arrays import write_arrays
from avzsl.contracts.atomic import write_json
from avzsl.contracts.errors import AvzslError, DataError
from avzsl.contracts.schemas import BENCHMARK_CLASSES
from avzsl.contracts.tables import write_table
from avzsl.embeddings import embed_classes
from avzsl.methods import Dims, build
from avzsl.predict import predict
from avzsl.predict.show import as_page, nearness
from tests.media.files import write
from tests.predict.tiny_extractor import DIM, _Networks

LABELS = ["bouncing ball bell", "spinning star clock"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config"
    for name, content in {
        "config.yaml": {"benchmarks": {"toy": {"dataset": "toy"}}, "methods": ["avca"], "seeds": [0]},
        "datasets/toy.yaml": {
            "catalog": {"module": "folder", "root": "."},
            "features": "tiny",
            "embeddings": {"table": "demo"},
        },
        "features/tiny.yaml": {"extractor": "tests.predict.tiny_extractor"},
    }.items():
        (config / name).parent.mkdir(parents=True, exist_ok=True)
        (config / name).write_text(yaml.safe_dump(content))
    return load_project(config / "config.yaml")


@pytest.fixture
def run(project: Project, tmp_path: Path) -> Path:
    """A run with an untrained model: predictions need not be good to be right."""
    folder = tmp_path / "results" / "benchmarks" / "toy" / "runs" / "avca" / "seed-0"
    method = project.method("avca", project.benchmarks["toy"])
    vectors = embed_classes(pd.DataFrame({"class_name": LABELS, "phrase": LABELS}), project.dataset("toy").embeddings)
    dims = Dims(DIM, DIM, vectors.vectors.shape[1])
    torch.manual_seed(0)
    model = build(method.config.module, dims, method.options)
    config = {"method": "avca", "options": method.options, "training": {}, "preset": "corrected"}
    state = {key: value.numpy() for key, value in model.state_dict().items()}
    write_arrays(folder / "model.safetensors", state, {"config": config, "dims": asdict(dims)})
    write_json(
        folder / "run.json",
        {
            "benchmark": "toy", "dataset": "toy", "features": "tiny", "method": "avca", "beta": 5000.0, "config": config,
            "extractor": _Networks.identity, "embeddings": vectors.backend,
        },
    )  # fmt: skip
    classes = pd.DataFrame({"class_name": LABELS, "role": ["train", "test_unseen"], "listed": 1, "usable": 1})
    write_table(folder.parents[2] / "classes.parquet", classes, BENCHMARK_CLASSES)
    return folder


def clip(path: Path, windows: np.ndarray) -> Path:
    path.write_text("\n".join(" ".join(f"{x:.6f}" for x in row) for row in windows))
    return path


def test_distances_are_those_of_the_model_on_the_averaged_windows(project: Project, run: Path, tmp_path: Path) -> None:
    windows = np.random.default_rng(0).random((3, DIM)).astype(np.float32).round(6)
    got = predict(project, run, [clip(tmp_path / "a.mp4", windows)], ["ball bell", "star clock", "ball bell"])
    assert got.labels == ("ball bell", "star clock")
    assert got.random_weights
    assert got.beta == 0  # neither phrase is a class of the run
    method = project.method("avca", project.benchmarks["toy"])
    vectors = embed_classes(
        pd.DataFrame({"class_name": got.labels, "phrase": got.labels}), project.dataset("toy").embeddings
    ).vectors
    torch.manual_seed(0)
    model = build(method.config.module, Dims(DIM, DIM, vectors.shape[1]), method.options).eval()
    with torch.no_grad():
        mean = torch.from_numpy(windows.mean(0, keepdims=True))
        expected = model.distances(mean, mean.flip(1), torch.from_numpy(vectors))[model.reported][0].numpy()
    [one] = got.clips
    assert np.allclose(one.distances, expected, atol=1e-5)
    assert list(one.order) == list(np.argsort(expected))
    assert len(one.by_second) == 3
    assert one.seconds[2] == (2.0, 3.0)


def test_calibration_counts_only_where_seen_and_unseen_meet(project: Project, run: Path, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", np.ones((1, DIM)))
    mixed = predict(project, run, [path], LABELS)
    assert mixed.seen == (True, False)
    assert mixed.clips[0].order[0] == 1  # the enormous beta keeps the seen class away
    assert mixed.clips[0].distances[0] > 4000
    assert predict(project, run, [path], ["bouncing ball bell", "star bell"]).beta == 5000.0


def test_unreadable_clips_have_a_reason(project: Project, run: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_text("")
    good = clip(tmp_path / "-b.mp4", np.ones((1, DIM)))
    got = predict(project, run, [empty, tmp_path / "not there.mp4", good], LABELS)
    assert [c.status for c in got.clips] == ["too_short", "missing", "ok"]
    assert got.clips[1].reason == "there is no such file"


@pytest.mark.parametrize("name", ["c.flv", "c.mkv", "c.webm"])
def test_the_first_of_joined_recordings_is_not_a_clip(name: str, project: Project, run: Path, tmp_path: Path) -> None:
    webm = {"codec": "libvpx", "audio_codec": "libopus", "rate": 48000} if name == "c.webm" else {}
    one = write(tmp_path / name, seconds=3, **webm)
    two = tmp_path / f"joined-{name}"
    two.write_bytes(one.read_bytes() * 2)
    good, bad = predict(project, run, [one, two], LABELS).clips
    assert good.status == "ok" and len(good.seconds) == 3
    assert bad.status == "corrupt" and "several recordings were joined" in str(bad.reason)


def test_other_features_or_words_than_the_runs_are_refused(project: Project, run: Path, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", np.ones((1, DIM)))
    record = json.loads((run / "run.json").read_text())
    write_json(run / "run.json", record | {"extractor": record["extractor"] | {"weights": "others"}})
    with pytest.raises(DataError, match="trained on features with weights others"):
        predict(project, run, [path], LABELS)
    write_json(run / "run.json", record | {"embeddings": {"sha256": "0"}})
    with pytest.raises(DataError, match="other word vectors"):
        predict(project, run, [path], LABELS)


def test_bad_labels_and_runs_are_one_sentence(project: Project, run: Path, tmp_path: Path) -> None:
    path = clip(tmp_path / "a.mp4", np.ones((1, DIM)))
    with pytest.raises(AvzslError, match="at least two"):
        predict(project, run, [path], ["ball", " ball"])
    with pytest.raises(AvzslError, match="xylofoon"):
        predict(project, run, [path], ["ball", "xylofoon"])
    with pytest.raises(DataError, match="--run takes a folder"):
        predict(project, tmp_path / "nowhere", [path], LABELS)


@pytest.mark.parametrize("broken", ["no model", "no record", "other dims"])
def test_a_wrong_run_is_refused_before_a_clip_is_read(
    project: Project, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def extract(*arguments: object, **named: object) -> None:
        pytest.fail("a clip was read")

    monkeypatch.setattr("avzsl.predict.recognition.extract_shard", extract)
    if broken == "other dims":
        write_arrays(run / "model.safetensors", {"w": np.zeros(3, np.float32)}, {"config": {}, "dims": {}})
    else:
        (run / {"no model": "model.safetensors", "no record": "run.json"}[broken]).unlink()
    with pytest.raises(AvzslError):
        predict(project, run, [clip(tmp_path / "a.mp4", np.ones((2, DIM)))], LABELS)


def test_command_writes_table_json_and_page(project: Project, run: Path, tmp_path: Path, capsys) -> None:
    hostile = clip(tmp_path / "<img src=x onerror=alert(1)>.mp4", np.ones((2, DIM)))
    arguments = ["predict", str(hostile), "--run", str(run), "--labels", "ball bell, star clock"]
    assert main([*arguments, "--json", "-"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [entry["label"] for entry in answer["labels"]] == ["ball bell", "star clock"]
    assert len(answer["clips"][0]["seconds"]) == 2
    assert main([*arguments, "--html"]) == 0
    out = capsys.readouterr()
    assert "ball bell" in out.out
    [page] = (tmp_path / "results" / "predictions").glob("*.html")
    tags = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.add(tag)

    Tags().feed(page.read_text())
    assert "img" not in tags
    assert "script" not in tags


def test_page_of_a_failed_clip(project: Project, run: Path, tmp_path: Path) -> None:
    page = as_page(predict(project, run, [tmp_path / "gone.mp4"], LABELS))
    assert "there is no such file" in page


def test_nearness_ranks_like_distances_and_sums_to_a_hundred() -> None:
    got = nearness((3.0, 1.0, 2000.0))
    assert sum(got) == pytest.approx(100)
    assert np.argsort(got).tolist() == [2, 0, 1]
