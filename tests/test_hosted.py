"""What a fork finds from its first push on: the hosted workflow, the pull request's questions, the hooks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / ".github/workflows/ci.yml"


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    [job] = workflow["jobs"].values()
    return job["steps"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_the_workflow_calls_what_ci_runs_on_both_pythons(workflow: dict[Any, Any]) -> None:
    # YAML 1.1 reads the key `on` as true.
    assert {"push", "pull_request"} <= set(workflow[True])
    [job] = workflow["jobs"].values()
    assert job["runs-on"].startswith("ubuntu") and job["timeout-minutes"] <= 60
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    assert job["strategy"]["fail-fast"] is False
    used = [step["uses"].split("@")[0] for step in steps(workflow) if "uses" in step]
    assert used == ["actions/checkout", "actions/setup-python"]
    assert [step["run"] for step in steps(workflow) if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK), ".ci/run cannot be executed"


def test_the_workflow_asks_for_no_rights(workflow: dict[Any, Any]) -> None:
    """A pull request from a fork runs foreign code."""
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in workflow[True] and "secrets" not in WORKFLOW.read_text(encoding="utf-8")


def test_make_takes_the_python_that_the_workflow_names(workflow: dict[Any, Any], tmp_path: Path) -> None:
    [step] = [step for step in steps(workflow) if "run" in step]
    name = step["env"]["PYTHON"].replace("${{ matrix.python }}", "3.13")
    said = subprocess.run(
        ["make", "-n", "setup", f"VENV={tmp_path}/venv"], cwd=ROOT, env={**os.environ, "PYTHON": name},
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert f"python3.13 -m venv {tmp_path}/venv" in said


def test_ci_lints_and_tests(tmp_path: Path) -> None:
    """With a `make` that writes down what it is asked for, in the place of everything that would install."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, does in (("make", 'echo "make $*"'), ("id", "echo 1000")):
        (tools / name).write_text(f"#!/bin/sh\n{does}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        [".ci/run"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0 and ran.stdout.split("\n")[:2] == ["make lint", "make test"], ran.stdout + ran.stderr
    (tools / "make").write_text('#!/bin/sh\n[ "$1" != lint ]\n', encoding="utf-8")
    assert subprocess.run(
        [".ci/run"], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False
    ).returncode


def test_the_hook_is_make_lint_and_needs_no_network() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    [repository] = config["repos"]
    [hook] = repository["hooks"]
    assert repository["repo"] == "local" and hook["language"] == "system" and hook["entry"] == "make lint"
    assert hook["pass_filenames"] is False


def test_a_pull_request_is_asked_for_its_bundle_or_benchmark() -> None:
    asked = (ROOT / ".github/pull_request_template.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^- \[ \] ", asked, re.MULTILINE)) >= 4
    for word in ("make lint", "make test", "avzsl bundle", "avzsl verify", "benchmarks/", "CHANGELOG.md"):
        assert word in asked
