"""Copies across subsets are found by their file or their content, counted, gated, or kept on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.benchmark import assemble
from avzsl.benchmark.copies import AGAINST, COSINE, SECONDS, find_copies
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.config.splits import SplitConfig
from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.schemas import BENCHMARK_CLIPS, FEATURES, MEDIA, SPLIT
from avzsl.contracts.tables import read_table, write_table
from avzsl.results.records import read_benchmark


def clips(subsets: list[str], sha: list[str | None] | None = None, length: float | np.ndarray = 5.0) -> pd.DataFrame:
    number = len(subsets)
    return pd.DataFrame(
        {
            "clip_id": [f"c{i}" for i in range(number)], "subset": subsets, "row": range(number),
            "sha256": sha or [None] * number, "length": length,
        }
    )  # fmt: skip


def features(number: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    # Far from the origin, as averages of rectified features are: without centring everything is parallel.
    return {name: (100 + rng.normal(size=(number, 16))).astype(np.float32) for name in ("audio", "visual")}


def test_equal_files_across_subsets_are_copies_and_inside_one_are_none() -> None:
    table = clips(["train", "train", "test_seen", "test_unseen", "val_seen"], ["a", "a", "a", "b", "b"])
    found = find_copies(table, features(5))
    assert found.to_numpy().tolist() == [
        ["c2", "test_seen", "c0", "same file"],
        ["c3", "test_unseen", "c4", "same file"],
    ]


def test_near_copies_need_both_modalities_and_equal_length() -> None:
    table, arrays = clips(["train", "train", "test_seen", "test_seen", "test_unseen"]), features(5)
    arrays["audio"][2], arrays["visual"][2] = arrays["audio"][1] + 1e-4, arrays["visual"][1] + 1e-4
    arrays["visual"][3] = arrays["visual"][0]  # the same picture, another sound
    arrays["audio"][4], arrays["visual"][4] = arrays["audio"][2], arrays["visual"][2]  # of a test_seen clip
    assert find_copies(table, arrays)[["clip_id", "other", "how"]].to_numpy().tolist() == [
        ["c2", "c1", "near copy"], ["c4", "c1", "near copy"],
    ]  # fmt: skip
    table.loc[2, "length"] = 5.2
    assert find_copies(table, arrays)["clip_id"].tolist() == ["c4"]


def test_every_pair_is_found_that_comparing_all_with_all_finds() -> None:
    rng, number = np.random.default_rng(0), 600
    subsets = list(rng.choice(["train", "val_unseen", "test_seen", "test_unseen"], number))
    table = clips(subsets, length=rng.choice([5.0, 5.04, 5.2], number))
    table.loc[::50, "length"] = np.nan
    # Twenty recordings, copied with noise of many sizes: cosines on both sides of the limit.
    noise = 10 ** rng.uniform(-4, -1.2, (number, 1))
    arrays = {}
    for name in ("audio", "visual"):
        base = rng.normal(size=(20, 32))[rng.integers(20, size=number)] if name == "audio" else rng.normal(size=(3, 32))
        base = base if name == "audio" else base[rng.integers(3, size=number)]
        arrays[name] = (base + noise * rng.normal(size=(number, 32))).astype(np.float32)
    same = np.abs(np.subtract.outer(table["length"].to_numpy(), table["length"].to_numpy())) <= SECONDS
    for array in arrays.values():
        centred = array - array.mean(0)
        unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
        same &= unit @ unit.T > COSINE
    expected = []
    for held_out, (others, _) in AGAINST.items():
        for i in np.flatnonzero(table["subset"] == held_out):
            hits = np.flatnonzero(same[i] & table["subset"].isin(others).to_numpy())
            expected += [[f"c{i}", held_out, f"c{hits[0]}"]] if len(hits) else []
    assert 20 < len(expected) < 400
    assert find_copies(table, arrays)[["clip_id", "subset", "other"]].to_numpy().tolist() == expected


def test_features_of_few_dimensions_or_without_difference_prove_nothing() -> None:
    table = clips(["train", "test_seen"] * 10)
    assert find_copies(table, {"audio": np.ones((20, 1)), "visual": features(20)["visual"]}).empty
    assert find_copies(table, {"audio": np.ones((20, 16)), "visual": np.ones((20, 16))}).empty


@pytest.fixture
def copied(tmp_path: Path) -> tuple[SyntheticFiles, Path, str]:
    """A synthetic benchmark whose first test_seen clip is the file of a train clip."""
    counts, vectors = small((4, 2, 2), clips=6)
    files = write(tmp_path / "in", counts, vectors)
    split = read_table(files.split / "split.parquet", SPLIT)
    ids = split["clip_id"]
    tested = ids[split["subset"] == "test_seen"].iloc[0]
    hashes = pd.Series([f"{i:064x}" for i in range(len(ids))], index=ids)
    hashes[tested] = hashes[ids[split["subset"] == "train"].iloc[0]]
    table = pd.DataFrame(
        {"clip_id": ids, "shard": 0, "status": "ok", "permanent": False, "attempts": 1, "sha256": hashes.to_numpy()}
    )
    write_table(tmp_path / "media.parquet", table, MEDIA)
    return files, tmp_path / "media.parquet", str(tested)


def put(copied: tuple[SyntheticFiles, Path, str], out: Path, **settings: object) -> Path:
    files, media, _ = copied
    config = SplitConfig.model_validate(settings)
    assemble(files.split, files.pack, [media], files.embeddings, out, "toy", config)
    return out


def test_a_copy_is_a_finding_with_its_row(copied, tmp_path: Path) -> None:
    checks = {check["name"]: check for check in read_benchmark(put(copied, tmp_path / "b") / "benchmark.json").checks}
    found = checks["test_seen_copies"]
    assert found["count"] == 1 and found["passed"]
    assert found["examples"][0].startswith(f"{copied[2]} is ")
    assert found["examples"][0].endswith("(same file)")
    assert checks["test_unseen_copies"]["count"] == 0


def test_a_gate_on_copies_fails_the_benchmark(copied, tmp_path: Path) -> None:
    with pytest.raises(AvzslError, match=r"gates.test_seen_copies: 1 of .* the gate allows 0"):
        put(copied, tmp_path / "b", gates={"test_seen_copies": 0})
    put(copied, tmp_path / "b", gates={"test_seen_copies": 1})


def test_copies_can_be_kept_on_one_side(copied, tmp_path: Path) -> None:
    out = put(copied, tmp_path / "b", copies="one_side", gates={"test_seen_copies": 0})
    table = read_table(out / "clips.parquet", BENCHMARK_CLIPS).set_index("clip_id")
    assert not table.loc[copied[2], "usable"]
    assert table.loc[copied[2], "reason"].startswith("same file as ")
    assert (~table["usable"]).sum() == 1
    assert read_benchmark(out / "benchmark.json").checks[1]["count"] == 0


def test_equal_content_in_another_file_is_found_by_its_features(copied, tmp_path: Path) -> None:
    files, _, _ = copied
    split = read_table(files.split / "split.parquet", SPLIT)
    rows = read_table(files.pack[1], FEATURES).set_index("clip_id")["row"]
    tested, trained = (split.loc[split["subset"] == name, "clip_id"].iloc[0] for name in ("test_unseen", "train"))
    arrays, header = read_arrays(files.pack[0])
    header.pop("checksum", None)
    for name in ("audio", "visual"):
        arrays[name][rows[tested]] = arrays[name][rows[trained]]
    write_arrays(files.pack[0], arrays, header)
    checks = read_benchmark(put(copied, tmp_path / "b") / "benchmark.json").checks
    assert checks[3]["examples"] == [f"{tested} is {trained} (near copy)"]
