"""avzsl from a wheel in an empty folder, and its workflow as a module of somebody else's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from avzsl.cli.build import snakemake_arguments
from avzsl.config import shipped
from avzsl.contracts.errors import AvzslError
from tests.workflow.conftest import ROOT, environment, write_tiny_demo


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what a checkout holds."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    [file] = out.glob("avzsl-*.whl")
    return file


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the wheel installs; the packages it needs are this environment's."""
    target = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def avzsl(folder: Path, site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "200"}
    command = [sys.executable, "-m", "avzsl", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=200)


def test_the_wheel_holds_configuration_workflow_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, inside in (("config", "avzsl/shipped/config"), ("workflow", "avzsl/shipped/workflow")):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{inside}/{path.relative_to(ROOT / folder).as_posix()}" in names
    for package in ("avzsl", "splits", "extractors"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in names


def test_the_demo_is_built_from_a_wheel_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    checked = avzsl(tmp_path, site, "check", str(site / "avzsl/shipped/config/config.yaml"))
    assert checked.returncode == 0, checked.stderr
    planned = avzsl(tmp_path, site, "build", "-n")
    assert planned.returncode == 0, planned.stdout[-2000:] + planned.stderr[-3000:]
    assert "world_demo" in planned.stdout + planned.stderr
    assert "report" in planned.stdout + planned.stderr


def test_jobs_in_a_conda_environment_find_the_wheel(site: Path) -> None:
    """Snakemake makes the environment from a copy of the file, and hands its own path on to the script."""
    environment = yaml.safe_load((site / "avzsl/shipped/environment.yml").read_text(encoding="utf-8"))
    [pip] = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", requirement) for requirement in pip)
    ask = "import json; from snakemake.common import get_snakemake_searchpaths as paths; print(json.dumps(paths()))"
    handed_on = subprocess.run(
        [sys.executable, "-c", ask], env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
    script = f"import sys; sys.path.extend({handed_on.strip()}); import avzsl; print(avzsl.__file__)"
    bare = [sys.executable, "-I", "-S", "-c", script]
    found = subprocess.run(bare, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()) == site / "avzsl/__init__.py"


def test_a_folder_with_a_configuration_of_its_own_is_asked_first(tmp_path: Path) -> None:
    assert snakemake_arguments(["-n"], tmp_path)[1].startswith("--configfile=")
    assert len(snakemake_arguments(["--config", "benchmarks=ucf"], tmp_path)) == 3
    write_tiny_demo(tmp_path)
    assert snakemake_arguments(["-n"], tmp_path) == [f"--snakefile={shipped.SNAKEFILE}", "-n"]


def test_options_are_passed_on_by_build_alone(site: Path, tmp_path: Path) -> None:
    refused = avzsl(tmp_path, site, "check", "--cores", "all")
    assert refused.returncode == 2
    assert "unrecognized arguments: --cores" in refused.stderr


def test_another_package_of_the_same_name_is_one_sentence(site: Path, tmp_path: Path) -> None:
    crowded = tmp_path / "crowded"
    shutil.copytree(site, crowded)
    shutil.rmtree(crowded / "splits")
    (crowded / "splits").mkdir()
    (crowded / "splits" / "__init__.py").write_text("", encoding="utf-8")
    for arguments in (["build", "-n"],):
        result = avzsl(tmp_path, crowded, *arguments)
        assert result.returncode == 1
        [line] = [line for line in result.stderr.splitlines() if line.strip()]
        assert "another package called splits" in line


def test_our_own_neighbours_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped.check_neighbours()
    monkeypatch.setattr(shipped, "_OURS", {"splits": "no_such_module"})
    with pytest.raises(AvzslError, match="another package called splits"):
        shipped.check_neighbours()


def test_the_workflow_is_a_module_of_another(tmp_path: Path) -> None:
    write_tiny_demo(tmp_path)
    (tmp_path / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n\n'
        f'module avzsl:\n    snakefile: "{ROOT / "workflow/Snakefile"}"\n    config: config\n\n'
        "use rule * from avzsl as avzsl_*\n\n"
        "onstart:\n    avzsl.onstart()\n\nonerror:\n    avzsl.onerror()\n\n"
        "rule mine:\n"
        '    input: "results/demo/splits/default/split.parquet", "results/benchmark.csv"\n'
        '    output: "mine.txt"\n'
        '    shell: "echo {input} > {output}"\n',
        encoding="utf-8",
    )
    snakemake = [sys.executable, "-m", "snakemake", "--cores", "1"]
    planned = subprocess.run(
        [*snakemake, "-n", "mine"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stdout[-2000:] + planned.stderr[-2000:]
    assert "avzsl_run" in planned.stdout + planned.stderr
    # Through the checkpoint, whose name the prefix changes.
    built = subprocess.run(
        [*snakemake, "results/demo/media/0000.parquet"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-4000:]
    assert (tmp_path / "results/demo/media/0000.parquet").is_file()
    assert (tmp_path / "results/.lock").is_file() and (tmp_path / "results/project.json").is_file()


def test_the_workflow_catalogue_finds_what_it_asks_for() -> None:
    entry = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert set(entry["usage"]) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert (ROOT / "workflow/Snakefile").is_file()
    assert (ROOT / "config/README.md").is_file()
