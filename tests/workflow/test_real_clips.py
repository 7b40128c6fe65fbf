"""The whole path of a folder of real clips, from `avzsl new` to the page; pictures and sounds of a Debian package."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from avzsl.cli import main
from avzsl.pretrained.wheels import missing
from tests.workflow.conftest import run_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three clips each of the package's animals and instruments; skipped where the package cannot be had."""
    if missing() or importlib.util.find_spec("resvg_py") is None:
        pytest.skip("needs the extra [pretrained] and the package resvg-py")
    got = subprocess.run(["apt-get", "download", "gcompris-qt-data"], cwd=tmp_path, capture_output=True, check=False)
    packages = list(tmp_path.glob("*.deb"))
    if got.returncode or not packages:
        pytest.skip("Debian's gcompris-qt-data cannot be had")
    subprocess.run(["dpkg", "-x", packages[0], tmp_path / "unpacked"], check=True)
    script = [
        sys.executable,
        ROOT / "benchmarks/real_clips.py",
        tmp_path / "unpacked",
        tmp_path / "clips",
        "--clips",
        "3",
    ]
    subprocess.run(script, check=True)
    return tmp_path / "clips"


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(2400)
def test_a_folder_becomes_a_benchmark_whose_names_are_better_than_a_guess(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "config").mkdir(parents=True)
    (project / "config/config.yaml").write_text("tracking: none\nseeds: [0]\n")
    monkeypatch.chdir(project)
    assert main(["new", "real", str(clips)]) == 0
    run_in(project)("--config", "benchmarks=real", "methods=[nearest-phrase, ridge]", timeout=1800)
    record = json.loads(Path("results/benchmarks/real/runs/nearest-phrase/seed-0/run.json").read_text(encoding="utf-8"))
    assert record["zsl"] > 3 * record["chance"]["zsl"]
    assert record["outputs"]["unnamed"]["zsl"] < record["zsl"]
    page = Path("results/report/index.html").read_text(encoding="utf-8")
    assert "Open features: what the networks were told" in page
    assert "without those that name a class" in page
