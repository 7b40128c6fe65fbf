"""The audio network in the workflow: trained after the split and before extraction, and only where a feature set asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file, save_file

from avzsl.config.load import load_project
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.records import read_record
from tests.workflow.conftest import Run, environment, write_config
from tests.workflow.small import write_small

FEATURES = {
    "extractor": "i3d_audiocnn",
    "picture_weights": {"random_seed": 0},
    "train": {"epochs": 2, "batch_size": 4, "crop_frames": 128},
}


def with_features(folder: Path, **dataset: object) -> None:
    write_small(folder, shards=1, clips=4)
    write_config(folder, "features/heard.yaml", FEATURES)
    path = folder / "config/datasets/small.yaml"
    write_config(folder, "datasets/small.yaml", {**yaml.safe_load(path.read_text()), "features": "heard", **dataset})


def jobs(output: str) -> set[str]:
    return {line.split(":")[0].split()[-1] for line in output.splitlines() if line.startswith(("rule ", "localrule "))}


def test_other_feature_sets_have_the_same_jobs(run: Run, tmp_path: Path) -> None:
    write_small(tmp_path, shards=1)
    dry = run("-n").stdout
    assert "extract" in jobs(dry)
    assert "train_audio_network" not in dry


def test_a_split_that_it_was_not_trained_on_is_refused(run: Run, tmp_path: Path) -> None:
    with_features(tmp_path, splits={"one": {}, "two": {"seed": 1}})
    write_config(
        tmp_path, "config.yaml", {"benchmarks": {"b": {"dataset": "small", "split": "two"}}, "methods": ["ridge"]}
    )
    found = run("-n", check=False)
    assert found.returncode
    assert "train.split: its network would hear the training clips of the split 'one'" in found.stdout + found.stderr
    assert "Traceback" not in found.stdout + found.stderr


def test_media_that_go_shard_by_shard_are_refused(tmp_path: Path) -> None:
    with_features(tmp_path, media={"keep": "features"})
    with pytest.raises(ConfigError) as refused:
        load_project(tmp_path / "config/config.yaml").check()
    assert str(refused.value) == (
        f"{tmp_path}/config/datasets/small.yaml: media.keep: the features heard need the media of all shards at once, to "
        "train a network; use clips"
    )
    with_features(tmp_path, media={"keep": "clips"})
    load_project(tmp_path / "config/config.yaml").check()


def predict(folder: Path) -> subprocess.CompletedProcess[str]:
    clip, model = "videos/bouncing ball bell/clip0.mp4", "results/benchmarks/small/runs/avca/seed-0"
    command = ["predict", clip, "--run", model, "--labels", "bouncing ball bell, growing star siren", "--json", "-"]
    return subprocess.run(
        [sys.executable, "-m", "avzsl", *command],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def predict_by_the_network_of_the_run(folder: Path, network: Path) -> None:
    found = predict(folder)
    assert found.returncode == 0, found.stderr
    [clip] = json.loads(found.stdout)["clips"]
    assert clip["status"] == "ok"
    assert {one["label"] for one in clip["ranking"]} == {"bouncing ball bell", "growing star siren"}
    own = network.read_bytes()
    arrays = load_file(network)
    save_file({**arrays, "band_mean": arrays["band_mean"] + 1}, network)  # as if it were trained anew
    other = predict(folder)
    assert other.returncode == 1
    assert "audio_network.safetensors: was trained anew since results/benchmarks/small/runs/avca/seed-0" in other.stderr
    assert sha256_file(network) in other.stderr
    network.unlink()
    gone = predict(folder)
    assert gone.returncode == 1
    assert "audio_network.safetensors: is not there" in gone.stderr
    assert "Traceback" not in other.stderr + gone.stderr
    network.write_bytes(own)
    assert predict(folder).stdout == found.stdout


@pytest.mark.slow
@pytest.mark.e2e
def test_it_is_trained_and_named_and_recognises_clips(run: Run, tmp_path: Path) -> None:
    with_features(tmp_path)
    dry = run("-n").stdout
    assert {"split", "train_audio_network", "extract"} <= jobs(dry)
    run()
    folder = tmp_path / "results/small/features/heard"
    record = read_record(folder / "audio_network.json")
    digest = sha256_file(folder / "audio_network.safetensors")
    assert record["weights"] == digest
    _, header = read_arrays(folder / "packed.safetensors")
    assert header["extractor"]["weights"] == f"i3d random:0, audiocnn sha256:{digest}"
    page = (tmp_path / "results/report/index.html").read_text(encoding="utf-8")
    assert "Audio network of the features" in page
    assert "Audio network: validation clips of seen classes" in page
    assert len(record["classes"]) >= 2
    again = run()
    assert "Nothing to be done" in again.stdout + again.stderr
    predict_by_the_network_of_the_run(tmp_path, folder / "audio_network.safetensors")
