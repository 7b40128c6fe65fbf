"""The house's own rules: imports go down only, light modules stay light, both dependency lists agree."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FLOOR = {"avzsl.contracts", "avzsl.config", "avzsl.runtime", "avzsl.pretrained"}
# What each package may import of ours; docs/architecture.md shows the same table.
MAY_IMPORT = {
    "avzsl/contracts": {"avzsl.contracts"},
    "avzsl/config": {"avzsl.contracts", "avzsl.config"},
    "avzsl/runtime": {"avzsl.contracts", "avzsl.runtime"},
    "avzsl/results": FLOOR | {"avzsl.results"},
    "avzsl/pretrained": {"avzsl.contracts", "avzsl.pretrained"},
    "splits": FLOOR | {"splits"},
    "avzsl/media": FLOOR | {"avzsl.media"},
    "extractors": FLOOR | {"avzsl.media", "extractors"},
    "avzsl/demo": FLOOR | {"avzsl.demo"},
    "avzsl/acquisition": FLOOR | {"avzsl.media", "avzsl.acquisition", "avzsl.results"},
    "avzsl/embeddings": FLOOR | {"avzsl.embeddings"},
    "avzsl/benchmark": FLOOR | {"avzsl.benchmark", "avzsl.results"},
    "avzsl/evaluation": FLOOR | {"avzsl.evaluation", "avzsl.results"},
    "avzsl/methods": FLOOR | {"avzsl.evaluation", "avzsl.methods"},
    "avzsl/training": FLOOR
    | {"avzsl.results", "avzsl.embeddings", "avzsl.benchmark", "avzsl.evaluation", "avzsl.methods", "avzsl.training"},
    "avzsl/published": FLOOR | {"avzsl.published"},
    "avzsl/tables": FLOOR | {"avzsl.results", "avzsl.published", "avzsl.tables"},
    "avzsl/inspect": FLOOR | {"avzsl.results", "avzsl.evaluation", "avzsl.inspect"},
    "avzsl/report": FLOOR
    | {"avzsl.media", "avzsl.results", "avzsl.benchmark", "avzsl.published", "avzsl.evaluation", "avzsl.report"},
    "avzsl/starters": FLOOR | {"splits", "avzsl.media", "avzsl.starters"},
    "avzsl/predict": FLOOR | {"avzsl.results", "extractors", "avzsl.embeddings", "avzsl.methods", "avzsl.predict"},
}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {n for n in names if n.split(".")[0] in {"avzsl", "splits", "extractors"} and n != "avzsl"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_go_down_only(package: str) -> None:
    allowed = MAY_IMPORT[package]
    if package == "splits":  # the demo's catalogue lists the world that avzsl.demo renders
        allowed = allowed | {"avzsl.demo"}
    for path in (ROOT / package).rglob("*.py"):
        for name in imported(path):
            assert any(name == a or name.startswith(f"{a}.") for a in allowed), f"{path}: imports {name}"


@pytest.mark.parametrize(
    "module",
    ["splits", "splits.catalogs", "avzsl.config.load", "avzsl.report", "avzsl.benchmark", "avzsl.cli", "avzsl.tables"],
)
def test_light_modules_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_environment_yml_holds_the_pins_of_pyproject() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    [pip] = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    # No path: Snakemake copies the file away, and a wheel has no checkout.
    assert sorted(pip) == sorted(project["dependencies"])


def test_the_eight_named_packages_are_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[=<>]", d)[0] for d in project["dependencies"]}
    assert {"torch", "torchvision", "torchaudio", "av", "yt-dlp", "pandas", "librosa", "snakemake"} <= names


def test_modules_can_be_read_in_one_go() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in ("avzsl", "splits", "extractors", "workflow")
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long


def test_scripts_import_what_is_there() -> None:
    """Scripts run inside Snakemake alone, where no type checker looks."""
    for path in sorted((ROOT / "workflow" / "scripts").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.split(".")[0] in {"avzsl", "splits", "extractors"}
            ):
                module = importlib.import_module(node.module)
                for name in node.names:
                    found = hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}")
                    assert found, f"{path.name}: {node.module} has no {name.name}"
