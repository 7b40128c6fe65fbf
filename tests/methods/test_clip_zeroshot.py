"""CLIP and CLAP without training: distances, what is refused, and a whole run."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import small, write
from avzsl.config.load import load_project
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.records import read_record, write_record
from avzsl.evaluation.recompute import recompute
from avzsl.methods import Dims, build
from avzsl.training.run import run


def test_each_modality_has_its_own_text() -> None:
    method = build("clip_zeroshot", Dims(2, 3, 5), {}).eval()
    classes = torch.tensor([[1.0, 0, 0, 0, 1], [0, 1.0, 0, 1, 0]])  # three of the picture, two of the sound
    visual, audio = torch.tensor([[5.0, 0, 0]]), torch.tensor([[3.0, 0]])  # seen: the first; heard: the second
    found = method.distances(audio, visual, classes)
    np.testing.assert_allclose(found["visual"], [[0, 1]], atol=1e-6)
    np.testing.assert_allclose(found["audio"], [[1, 0]], atol=1e-6)
    np.testing.assert_allclose(found["both"], [[0.5, 0.5]], atol=1e-6)
    unheard = method.distances(torch.full((1, 2), float("nan")), visual, classes)
    np.testing.assert_allclose(unheard["both"], found["visual"], atol=1e-6)


def test_other_text_and_other_features_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"3 \+ 2 numbers.*these have 3"):
        build("clip_zeroshot", Dims(2, 3, 3), {})
    data = SimpleNamespace(extractor={"name": "selavi"}, classes=torch.zeros(2, 5))
    with pytest.raises(ConfigError, match="these are selavi"):
        build("clip_zeroshot", Dims(2, 3, 5), {}).epoch(data, {}, None)


def test_a_whole_run(tmp_path: Path) -> None:
    counts, vectors = small((6, 3, 3), clips=5, dim=22)
    files = write(tmp_path / "in", counts, vectors, dims=(10, 12), noise=0.2)
    assemble(files.split, files.pack, [], files.embeddings, tmp_path / "benchmark")
    (tmp_path / "datasets").mkdir()
    data = {"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}}
    (tmp_path / "datasets" / "toy.yaml").write_text(yaml.safe_dump(data))
    values = {"benchmarks": {"toy": {"dataset": "toy"}}, "methods": ["clip-zeroshot"], "seeds": [0]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    project = load_project(tmp_path / "config.yaml")
    benchmark = project.benchmarks["toy"]
    out = tmp_path / "run"
    record = tmp_path / "benchmark" / "benchmark.json"
    write_record(record, {**read_record(record), "extractor": {"name": "clip_clap"}})
    run(
        tmp_path / "benchmark",
        files.pack[0],
        files.embeddings,
        project.method("clip-zeroshot", benchmark),
        benchmark,
        0,
        out,
        device="cpu",
    )
    scored = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert set(scored["outputs"]) == {"visual", "audio"}  # the reported one is the run itself
    recompute(out)
