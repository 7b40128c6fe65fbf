"""The guide to a new method, done as it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import small, write
from avzsl.config.load import SHIPPED, load_project
from avzsl.training.run import run

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")


def test_the_guides_own_method_runs_from_two_new_files(tmp_path, monkeypatch):
    [module] = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    settings = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[0]
    assert len(module.splitlines()) < 60
    name = yaml.safe_load(settings)["module"]
    package, _, last = name.rpartition(".")
    (tmp_path / "code" / package).mkdir(parents=True)
    (tmp_path / "code" / package / "__init__.py").touch()
    (tmp_path / "code" / package / f"{last}.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    # Another test may have imported a package of that name from a folder of its own.
    for known in [known for known in sys.modules if known == package or known.startswith(f"{package}.")]:
        monkeypatch.delitem(sys.modules, known)
    for folder, file, text in (
        ("methods", last, settings),
        ("datasets", "toy", yaml.safe_dump({"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}})),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{file}.yaml").write_text(text)
    quick = {"training": {"epochs": 5, "batches_per_epoch": 100, "batch_size": 32}}
    values = {"benchmarks": {"toy": {"dataset": "toy", "overrides": quick}}, "methods": [last]}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    project = load_project(tmp_path / "config.yaml")
    counts, vectors = small((6, 3, 3), clips=5, dim=8)
    files = write(tmp_path / "in", counts, vectors, dims=(10, 12), noise=0.2)
    assemble(files.split, files.pack, [], files.embeddings, tmp_path / "benchmark")
    benchmark = project.benchmarks["toy"]
    try:
        run(
            tmp_path / "benchmark",
            files.pack[0],
            files.embeddings,
            project.method(last, benchmark),
            benchmark,
            0,
            tmp_path / "run",
            device="cpu",
        )
    finally:
        for loaded in (name, package):
            sys.modules.pop(loaded, None)
    row = json.loads((tmp_path / "run" / "run.json").read_text())
    assert row["zsl"] > row["chance"]["zsl"]


def test_the_guides_variant_is_the_shipped_one():
    variant = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[1])
    shipped = yaml.safe_load((SHIPPED / "methods" / "avca.yaml").read_text())["variants"]
    assert {name: shipped[name] for name in variant["variants"]} == variant["variants"]


@pytest.mark.parametrize("name", ["ridge", "concat"])
def test_short_methods_stay_short(name):
    lines = len((ROOT / "avzsl" / "methods" / f"{name}.py").read_text().splitlines())
    assert lines < 60
    assert re.search(rf"`{name}.py` \({lines}( lines)?\)", GUIDE)
