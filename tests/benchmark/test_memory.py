"""Features of many clips are read block by block: what a stage holds does not grow with their width."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.benchmark.synthetic import small, write
from avzsl.contracts.mapped import write_in_pieces
from avzsl.contracts.schemas import FEATURES, SPLIT
from avzsl.contracts.tables import read_table, write_table

CLIPS, WIDTH = 40_000, 2048
# The peak beyond what was there once everything is imported and a first small job is done.
GROWN = """
import sys
from pathlib import Path
from avzsl.benchmark import assemble, load
from avzsl.runtime.peak import peak_mb as peak
def work(folder):
    assemble(folder, (folder / "packed.safetensors", folder / "packed.parquet"), [], folder / "embeddings.safetensors", folder / "out")
    load(folder / "out", folder / "packed.safetensors", folder / "embeddings.safetensors")
work(Path(sys.argv[1]))
import avzsl.benchmark.data
avzsl.benchmark.data.HELD = 100 << 20
before = peak()
work(Path(sys.argv[2]))
print(peak() - before)
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A small benchmark, and one of as many classes with 320 MB of features of either modality."""
    counts, vectors = small((15, 5, 5), dim=50)
    write(tmp_path / "small", counts, vectors, dims=(32, 32))
    times = CLIPS // sum(n for own in counts.values() for n in own.values())
    large = tmp_path / "large"
    write(large, {s: {c: n * times for c, n in own.items()} for s, own in counts.items()}, vectors, dims=(8, 8))
    rng, ids = np.random.default_rng(0), list(read_table(large / "split.parquet", SPLIT)["clip_id"])
    manifest = read_table(large / "packed.parquet", FEATURES)
    write_table(
        large / "packed.parquet", pd.DataFrame({**manifest, "duration_s": rng.uniform(1, 99, len(ids))}), FEATURES
    )
    pieces = {name: (rng.standard_normal((min(1000, len(ids) - n), WIDTH), np.float32) for n in range(0, len(ids), 1000))
              for name in ("audio", "visual")}  # fmt: skip
    layout = {name: ("float32", (len(ids), WIDTH)) for name in pieces}
    write_in_pieces(large / "packed.safetensors", layout, pieces, {"clip_ids": ids, "extractor": {"name": "synthetic"}})
    return tmp_path / "small", large


def test_a_benchmark_of_wide_features_is_assembled_and_opened_without_holding_them(folders: tuple[Path, Path]) -> None:
    size = (folders[1] / "packed.safetensors").stat().st_size >> 20
    assert size > 600
    done = subprocess.run([sys.executable, "-c", GROWN, *map(str, folders)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < size / 2


SCATTERED = """
import sys
import numpy as np
from avzsl.contracts.mapped import map_arrays, scattered_rows
from avzsl.runtime.peak import peak_mb as peak
arrays, _ = map_arrays(sys.argv[1])
rows = np.random.default_rng(0).permutation(len(arrays["audio"]))[:2000]
before = peak()
assert (scattered_rows(arrays["audio"], rows)[7] == arrays["audio"][rows[7]]).all()
scattered_rows(arrays["visual"], rows)
print(peak() - before)
"""


def test_rows_here_and_there_are_read_without_all_that_lies_between(folders: tuple[Path, Path]) -> None:
    pack = folders[1] / "packed.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", SCATTERED, str(pack)], capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    assert int(done.stdout) < (pack.stat().st_size >> 20) / 3
