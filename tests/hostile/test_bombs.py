"""What is made to fill the memory is refused in a sentence, before it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.sizes import SMALL, believable
from avzsl.pretrained.checkpoints import fit_state, read_tensors
from tests.hostile.bombs import BOMBS, own

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bombs")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.bombs", str(folder)],
        capture_output=True, text=True, timeout=500, check=False, env=environment,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(BOMBS), done.stderr[-3000:]
    return {entry["name"]: entry for entry in found}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_a_sentence_in_little_memory(read: dict[str, Any], name: str) -> None:
    found = read[name]
    assert found["kind"] == "sentence", found
    assert "Traceback" not in found["said"] and "\n" not in found["said"], found
    assert found["mb"] < 200, found


def test_what_is_believable() -> None:
    assert believable(SMALL, 0) and believable(100 << 30, 1 << 30)
    assert not believable(SMALL + 1, 0) and not believable(101 << 30, 1 << 30)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_short_numbers_of_safetensors_become_float32(tmp_path: Path, kind: torch.dtype) -> None:
    values = torch.tensor([[0.5, 1.0, -2.0], [4.0, 0.25, 8.0]])
    pd.DataFrame({"clip_id": ["a", "b"], "class_name": ["x", "x"]}).to_csv(tmp_path / "clips.csv", index=False)
    save_file(
        {f"{n}/{m}": values.to(kind) for n in "ab" for m in ("audio", "visual")}, tmp_path / "features.safetensors"
    )
    own(tmp_path)
    arrays, _ = read_arrays(tmp_path / "s.safetensors")
    assert arrays["audio"].dtype == np.float32
    np.testing.assert_array_equal(arrays["audio"][:2], values.numpy())
    path = tmp_path / "w.safetensors"
    save_file({"w": values.to(kind)}, path)
    fitted = fit_state(path, read_tensors(path), {"w": torch.zeros(2, 3)})["w"]
    assert fitted.dtype == torch.float32 and torch.equal(fitted, values)
