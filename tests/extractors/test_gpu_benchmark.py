"""`benchmarks/gpu.py` in small form on a CPU: every part gives a row, and a fault costs its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.py"


BARE = Path(__file__).parent / "bare"


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """Run the script on a machine that has nothing but what it says it needs."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (BARE, ROOT))), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "gpu.json"
    subprocess.run(
        [sys.executable, str(SCRIPT), "--small", "--json", str(out), *arguments],
        check=True,
        env=environment,
        timeout=1000,
    )
    return json.loads(out.read_text())


def test_parts_without_networks(tmp_path: Path) -> None:
    found = run(tmp_path, "--only", "machine", "matmul", "pool", "training", "retrieval")
    assert set(found) == {"machine", "matmul", "pool", "training", "retrieval"}
    assert not {part: row["failed"] for part, row in found.items() if "failed" in row}
    assert found["machine"]["card"] == "CPU"
    assert found["matmul"]["fused"] > 0


@pytest.mark.slow
def test_every_part(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert len(found) == 11
    assert not {part: row["failed"] for part, row in found.items() if "failed" in row}
    assert found["shard"]["fused: windows/s"] > 0
    assert found["errors"]["fused visual"] < 1e-5
    assert found["errors"]["golden fused visual"] < 1e-5
    assert not any(one["met"] for one in found["goals"].values()), "a CPU shows nothing"


def test_the_bare_machine_is_bare(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(BARE)}
    said = subprocess.run(
        [sys.executable, "-c", "import pandas"], env=environment, capture_output=True, text=True, check=False
    )
    assert "No module named 'pandas'" in said.stderr


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_parts_together_take_less_than_six_minutes(gpu: ModuleType) -> None:
    assert sum(gpu.PARTS.values()) < 360


def test_goals_are_held_against_what_was_measured(gpu: ModuleType) -> None:
    results = {
        "shard": {"tf32: GPU busy": 0.7, "tf32: cores busy decoding": 0.95},
        "pool": {"340x256 x 16": 900.0, "340x256 x 4, before": 100.0},
        "training": {"1 seeds": 6.0, "1 seeds, recorded": 2.5, "8 seeds, recorded": 4.0},
    }
    met = {name: one["met"] for name, one in gpu.goals(results).items()}
    assert list(met.values()) == [True, True, False, True]
    assert not any(one["met"] for one in gpu.goals({"shard": {"failed": "no"}}).values())


def test_bare_trunks_are_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import bare_trunks

    from extractors.selavi.trunks import Trunks

    ours, theirs = bare_trunks.trunks(golden=True), Trunks().eval()
    theirs.load_state_dict(ours.state_dict())
    generator = torch.Generator().manual_seed(0)
    video, audio = torch.randn(1, 3, 4, 32, 32, generator=generator), torch.randn(1, 1, 257, 40, generator=generator)
    with torch.inference_mode():
        assert torch.equal(ours.video(video), theirs.video(video))
        assert torch.equal(ours.audio(audio), theirs.audio(audio))


def test_a_fault_is_a_row(tmp_path: Path, gpu: ModuleType) -> None:
    assert gpu.run("machine", True, tmp_path, 0) == {"failed": "took more than 0 s"}
    assert "failed" in gpu.run("no such part", True, tmp_path, 60)
