"""`benchmarks/gpu.py` in small form on a CPU: every part gives a row, and a fault costs its own."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.py"


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    out = tmp_path / "gpu.json"
    subprocess.run(
        [sys.executable, str(SCRIPT), "--small", "--json", str(out), *arguments],
        check=True,
        env=environment,
        timeout=500,
    )
    return json.loads(out.read_text())


def test_parts_without_networks(tmp_path: Path) -> None:
    found = run(tmp_path, "--only", "machine", "matmul")
    assert set(found) == {"machine", "matmul"}
    assert found["machine"]["card"] == "CPU"
    assert found["matmul"]["fused"] > 0


@pytest.mark.slow
def test_every_part(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert len(found) == 10
    assert not {part: row["failed"] for part, row in found.items() if "failed" in row}
    assert found["shard"]["windows/s"] > 0
    assert found["errors"]["fused visual"] < 1e-5


def test_a_fault_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)
    assert gpu.run("machine", True, tmp_path, 0) == {"failed": "took more than 0 s"}
    assert "failed" in gpu.run("no such part", True, tmp_path, 60)
