"""CLIP and CLAP from videos to the page, with networks one layer deep and no network to ask."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avzsl.config.load import load_project
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.class_embeddings import read_embeddings
from avzsl.published import for_benchmark
from avzsl.report.audits import findings_table
from avzsl.results.places import Places
from splits import build_split
from splits.catalogs import build_catalog
from splits.export import write_lists
from tests.clip_clap_files import write_clip_weights, write_laion, write_wavcaps
from tests.report.world import write_clip
from tests.workflow.conftest import environment, snakemake_command, write_config
from tests.workflow.small import CLASSES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("open_clip", "transformers")),
        reason="the extra [clip] is not installed",
    ),
]
WORDS = sorted(
    {word for name in CLASSES for word in name.split()} | set(["a", "the", "of", "person", "can", "be", "heard", "."])
)
METHODS = ["clip-zeroshot", "clipclap", "avca", "avca-hyper", "cjme", "ridge"]
CLIPS = 4
MARK = "backbone not disjoint, unknowable"


def shallow_environment(folder: Path) -> dict[str, str]:
    values = environment()
    path = f"{Path(__file__).parent / 'shallow'}{os.pathsep}{values['PYTHONPATH']}"
    return values | {"PYTHONPATH": path, "ASKED": str(folder / "asked.txt")}


def write_project(folder: Path) -> None:
    """Write clips, weights, and two data sets of the same clips: LAION's CLAP, and WavCaps as the paper has it."""
    for number, name in enumerate(CLASSES):
        (folder / "videos" / name).mkdir(parents=True)
        for clip in range(CLIPS):
            write_clip(folder / "videos" / name / f"clip{clip}.mp4", CLIPS * number + clip, 1.2 + 0.2 * clip)
    clip, laion, wavcaps = folder / "clip", folder / "laion", folder / "wavcaps"
    for one in (clip, laion, wavcaps):
        one.mkdir()
    picture = {"path": str(write_clip_weights(clip / "clip.safetensors"))}
    features = {"extractor": "clip_clap", "picture_weights": picture}
    heard = {"path": str(write_laion(laion, WORDS))}
    write_config(folder, "features/clip-clap.yaml", features | {"sound_weights": heard})
    heard = {"path": str(write_wavcaps(wavcaps, WORDS))}
    paper = features | {"sound_weights": heard, "sound": "wavcaps", "windows": "as_released"}
    write_config(folder, "features/clipclap-paper.yaml", paper)
    first = {"backend": "clip", "table": picture["path"]}
    laions = [first, {"backend": "clap", "table": str(laion), "prompts": ["{} can be heard."]}]
    papers = [
        first | {"paper": "ucf", "slips": True},
        {"backend": "wavcaps", "table": heard["path"], "tokenizer": str(wavcaps / "vocab.txt"), "paper": "ucf"},
    ]
    shares = {"test_seen": 0.25, "val_seen": 0.25, "val_unseen": 0.25, "test_unseen": 0.25, "avoid": []}
    small: dict[str, Any] = {
        "catalog": {"module": "folder", "root": "videos"}, "shards": 1, "features": "clip-clap", "splits": {"default": shares},
        "embeddings": {"backend": "joined", "parts": laions},
        "methods": {"training": {"epochs": 1, "batches_per_epoch": 2, "batch_size": 16}},
    }  # fmt: skip
    write_config(folder, "datasets/small.yaml", small)
    ucf = small | {"features": "clipclap-paper", "embeddings": {"backend": "joined", "parts": papers}}
    ucf["splits"] = {"cls": {"flavour": "imported", "variant": "cls", "lists": {"path": "lists"}, "avoid": []}}
    write_config(folder, "datasets/ucf.yaml", ucf)
    values = {
        "benchmarks": {
            "small": {"dataset": "small"},
            "ucf": {"dataset": "ucf", "methods": ["clip-zeroshot", "clipclap"]},
        }
    }
    write_config(folder, "config.yaml", values | {"methods": METHODS, "seeds": [0], "device": "cpu"})


def write_split_lists(folder: Path) -> None:
    """Write lists as the released ones are, of a split that is drawn here."""
    project = load_project(folder / "config" / "config.yaml")
    config = project.dataset("small")
    made = build_catalog("small", config, folder / "cache")
    write_lists(build_split(made.clips, made.classes, config.splits["default"]), folder / "lists", "cls")


def call(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, env=shallow_environment(folder), capture_output=True, text=True, check=False, timeout=580
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done


def test_videos_become_a_page_with_clip_zeroshot_as_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_project(tmp_path)
    write_split_lists(tmp_path)
    call(tmp_path, *snakemake_command())
    results = tmp_path / "results"

    # Features and class texts stand side by side: 512 + 512, and 512 + 1024 of the paper.
    for name, features, dataset, widths in (
        ("small", "clip-clap", "small", (512, 512)),
        ("ucf", "clipclap-paper", "ucf", (512, 1024)),
    ):
        record = json.loads((results / f"benchmarks/{name}/benchmark.json").read_text(encoding="utf-8"))
        assert record["dims"] == {"visual": widths[0], "audio": widths[1], "text": sum(widths)}
        assert record["extractor"]["random_weights"] is False
        [check] = [check for check in record["checks"] if check["name"] == "open_web_captions"]
        assert check["count"] is None and check["note"] == MARK
        arrays, _ = read_arrays(results / f"{dataset}/features/{features}/packed.safetensors")
        assert len(arrays["visual"]) == len(CLASSES) * CLIPS and np.isfinite(arrays["audio"]).all()
        assert read_embeddings(results / f"{dataset}/embeddings.safetensors").vectors.shape == (
            len(CLASSES),
            sum(widths),
        )

    table = pd.read_csv(results / "benchmark.csv")
    assert table[table["benchmark"] == "small"]["method"].tolist() == METHODS
    assert table["weights"].str.startswith(f"open (captions from the web: {MARK})").all()
    # The published rows stand beside features and split of their kind alone.
    rows: Mapping[str, pd.Series] = {row["method"]: row for _, row in table[table["benchmark"] == "ucf"].iterrows()}
    assert (rows["clipclap"]["hm_published"], rows["clipclap"]["zsl_published"]) == (55.97, 46.96)
    assert (
        pd.isna(rows["clip-zeroshot"]["hm_published"])
        and table.loc[table["benchmark"] == "small", "hm_published"].isna().all()
    )
    project = load_project(tmp_path / "config" / "config.yaml")
    assert len(for_benchmark("ucf", "clipclap-paper", project.dataset("ucf").splits["cls"], False)) == 7

    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert (
        "clip-zeroshot" in page
        and page.count(MARK) >= 4
        and "55.97" in page
        and "github.com/dkurzend/ClipClap-GZSL" in page
    )
    splits = [("small", "default"), ("ucf", "cls")]
    said = findings_table(project, Places(results), splits, 300)
    assert " ".join(said.split()).count(f"captions from the web ({MARK})") == 2
    assert "or that nobody can know" in Places(results).audit_page("small", "default").read_text(encoding="utf-8")
    said = call(tmp_path, sys.executable, "-m", "avzsl", "results").stdout
    assert f"were trained with captions from the web: {MARK}" in " ".join(said.split())

    clip = f"videos/{CLASSES[0]}/clip0.mp4"
    command = [
        sys.executable,
        "-m",
        "avzsl",
        "predict",
        clip,
        "--features",
        "clip-clap",
        "--labels",
        "bell, rain",
        "--json",
        "-",
    ]
    found = json.loads(call(tmp_path, *command).stdout)
    assert found["clips"][0]["status"] == "ok" and {one["label"] for one in found["clips"][0]["ranking"]} == {
        "bell",
        "rain",
    }
    # No job of it asked for an address.
    assert not (tmp_path / "asked.txt").exists(), (tmp_path / "asked.txt").read_text()
