"""A mistake in the configuration is one readable line before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from avzsl.runtime.jobs import hold_lock
from tests.workflow.checkout import checkout_environment, copy_checkout
from tests.workflow.conftest import Run, write_config


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"benchmarks": {"demo": {"dataset": "demo", "sedes": [1]}}}, "benchmarks.demo.sedes: unknown key"),
        ({"benchmarks": {"b": {"dataset": "nowhere"}}}, "there is no datasets/nowhere.yaml"),
        ({"benchmarks": "demo", "preset": "best"}, "config.yaml: preset: must be as_released or corrected, got 'best'"),
        ({"benchmarks": "demo", "methods": ["avcaa"]}, "there is no methods/avcaa.yaml"),
        ({"benchmarks": {"demo": {"dataset": "demo", "split": "x"}}}, "has no split 'x'"),
        ({"benchmarks": {"demo": {"dataset": "demo", "overrides": {"training": {"lr": -1}}}}}, "lr"),
        (
            {"benchmarks": {"demo": {"dataset": "demo", "overrides": {"options": {"magic": 1}}}}},
            "overrides.options.magic: no method",
        ),
        ({}, "benchmarks"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, run: Run, config: dict, says: str) -> None:
    write_config(tmp_path, "config.yaml", config)
    result = run("-n", check=False)
    assert result.returncode == 1
    lines = (result.stdout + result.stderr).splitlines()
    assert sum(says in line for line in lines) == 1
    assert "Traceback" not in result.stdout + result.stderr


def test_a_bad_ratio_of_a_data_set_names_file_and_key(tmp_path: Path, run: Run) -> None:
    write_config(tmp_path, "config.yaml", {"benchmarks": "mine"})
    dataset = {
        "catalog": {"module": "folder", "root": "videos"},
        "embeddings": {"table": "demo"},
        "splits": {"default": {"test_seen": 1.5}},
    }
    write_config(tmp_path, "datasets/mine.yaml", dataset)
    result = run("-n", check=False)
    assert "config/datasets/mine.yaml: splits.default.test_seen: must be less than 1, got 1.5" in result.stderr


def test_an_unknown_key_of_a_catalogue_names_file_and_key(tmp_path: Path, run: Run) -> None:
    write_config(tmp_path, "config.yaml", {"benchmarks": "mine"})
    write_config(
        tmp_path, "datasets/mine.yaml", {"catalog": {"module": "folder", "rot": "x"}, "embeddings": {"table": "demo"}}
    )
    result = run("-n", check=False)
    assert result.returncode == 1
    assert "catalog.rot" in result.stderr
    assert "Traceback" not in result.stdout + result.stderr


def test_a_folder_without_configuration_is_told_what_to_do(tmp_path: Path, run: Run) -> None:
    result = run("-n", check=False)
    assert result.returncode == 1
    assert "there is no config/config.yaml in this folder" in result.stderr
    assert "Job stats" in run("-n", "--config", "benchmarks=demo").stdout


@pytest.mark.parametrize("question", ["-n", "--summary", "--lint"])
def test_asking_is_allowed_while_a_run_is_at_work(tmp_path: Path, run: Run, question: str) -> None:
    write_config(tmp_path, "config.yaml", {"benchmarks": "demo"})
    with hold_lock(tmp_path / "results/.lock", "busy"):
        run(question)
        assert "another run is writing" in run(check=False).stderr


def test_asking_leaves_no_lock(tmp_path: Path, run: Run) -> None:
    write_config(tmp_path, "config.yaml", {"benchmarks": "demo"})
    run("-n")
    assert not (tmp_path / "results").exists()


def test_lists_and_mappings_on_the_command_line_hold_numbers(tmp_path: Path, run: Run) -> None:
    asked = "{mine: {dataset: demo, overrides: {training: {epochs: 2, lr: 0.01, compile: no}}}}"
    write_config(tmp_path, "config.yaml", {"benchmarks": "demo"})
    run("-n", "--config", "seeds=[0, 1]", "interim=false", f"benchmarks={asked}")
    result = run("-n", "--config", "seeds=[0, x]", check=False)
    assert result.returncode == 1 and "seeds.1: must be a whole number" in result.stdout + result.stderr


def test_a_checkout_below_a_folder_with_braces_gets_a_sentence(tmp_path: Path) -> None:
    folder = copy_checkout(tmp_path / "{y}")
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n"], cwd=folder, env=checkout_environment(folder),
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    said = result.stdout + result.stderr
    assert result.returncode != 0
    assert (
        "avzsl: " in said
        and "Snakemake reads { and } in a path as wildcards; move the folder to a path without" in said
    )
    assert "Traceback" not in said
