"""Files are written whole or not at all, and read back only if they are what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.atomic import replacing, sweep, write_json, write_text
from avzsl.contracts.errors import AvzslError, CorruptError, DataError
from avzsl.contracts.hashing import safe_name, shard_of
from avzsl.contracts.schemas import CLASSES, SPLIT
from avzsl.contracts.tables import read_table, write_table
from avzsl.contracts.vocabulary import MEDIA_STATUS, PERMANENT_STATUS
from avzsl.runtime.jobs import hold_lock


def split_frame() -> pd.DataFrame:
    return pd.DataFrame({"clip_id": ["a", "b"], "class_name": ["x", "x"], "subset": ["train", "excluded"]})


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_written_files_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"hm": float("nan")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda frame: frame.drop(columns="subset"),
        lambda frame: frame.assign(subset=[1, 2]),
        lambda frame: frame.assign(class_name=None),
        lambda frame: frame.assign(clip_id="a"),
    ],
    ids=["a column less", "other values", "empty values", "a key twice"],
)
def test_a_table_that_does_not_fit_counts_as_corrupt_so_that_it_is_made_again(tmp_path: Path, wrong) -> None:
    path = tmp_path / "split.parquet"
    write_table(path, split_frame(), SPLIT)
    wrong(pd.read_parquet(path)).to_parquet(path)
    with pytest.raises(CorruptError, match="delete it and run again"):
        read_table(path, SPLIT)


def test_tables_round_trip_and_fill_nullable_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "split.parquet", split_frame(), SPLIT)
    frame = read_table(tmp_path / "split.parquet", SPLIT)
    assert list(frame.columns) == list(SPLIT.columns)
    assert frame["reason"].isna().all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.drop(columns="subset"), "subset"),
        (lambda f: f.assign(subset="nonsense"), "nonsense"),
        (lambda f: f.assign(clip_id="a"), "unique"),
        (lambda f: f.assign(extra=1), "extra"),
        (lambda f: f.assign(class_name=None), "empty"),
        (lambda f: f.assign(class_name=[{}, 1]), "fit"),
    ],
)
def test_a_wrong_table_is_refused_with_its_file_and_reason(tmp_path: Path, change: object, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        write_table(tmp_path / "split.parquet", change(split_frame()), SPLIT)  # type: ignore[operator]
    assert "split.parquet" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_some_columns_are_read_and_checked_alone(tmp_path: Path) -> None:
    path = tmp_path / "split.parquet"
    frame = pd.DataFrame(
        {"clip_id": ["a", "a", "b"], "class_name": ["x", None, "x"], "subset": "train", "reason": None}
    )
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    assert list(read_table(path, SPLIT, ("subset",)).columns) == ["subset"]
    for columns, says in ((("clip_id", "subset"), "'a'} appears twice"), (("class_name",), "holds 1 empty values")):
        with pytest.raises(CorruptError, match=says):
            read_table(path, SPLIT, columns)


def test_reading_names_the_file_that_is_missing_broken_or_another(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet.*does not exist"):
        read_table(tmp_path / "gone.parquet", SPLIT)
    (tmp_path / "text.parquet").write_text("not parquet")
    with pytest.raises(DataError, match=r"text\.parquet.*not a readable"):
        read_table(tmp_path / "text.parquet", SPLIT)
    write_table(tmp_path / "split.parquet", split_frame(), SPLIT)
    with pytest.raises(DataError, match="missing"):
        read_table(tmp_path / "split.parquet", CLASSES)


def test_arrays_round_trip_with_equal_bytes(tmp_path: Path) -> None:
    arrays = {"visual": np.arange(6, dtype=np.float32).reshape(2, 3), "audio": np.zeros((0, 4), np.float32)}
    write_arrays(tmp_path / "a.safetensors", arrays, {"clip_ids": ["-x", "ü"]})
    write_arrays(tmp_path / "b.safetensors", dict(reversed(arrays.items())), {"clip_ids": ["-x", "ü"]})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    read, header = read_arrays(tmp_path / "a.safetensors")
    assert header == {"clip_ids": ["-x", "ü"]}
    np.testing.assert_array_equal(read["visual"], arrays["visual"])


def test_truncated_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"x": np.zeros(100)}, {})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"a\.safetensors.*whole"):
        read_arrays(path)


@pytest.mark.parametrize("place", [-1, -300, 40])
def test_a_changed_byte_of_arrays_is_found(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"x": np.arange(100.0), "y": np.zeros((0, 3), np.float32)}, {"clip_ids": ["a", "b"]})
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.safetensors"):
        read_arrays(path)


def test_a_changed_byte_of_a_table_is_found_and_the_file_set_aside_by_the_job(tmp_path: Path) -> None:
    path = tmp_path / "split.parquet"
    write_table(path, split_frame(), SPLIT)
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    code = """if True:
        import sys
        from avzsl.runtime.jobs import job
        with job(None):
            from avzsl.contracts.schemas import SPLIT
            from avzsl.contracts.tables import read_table
            read_table(sys.argv[1], SPLIT)"""
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr and "run again" in result.stderr
    assert not path.exists()
    assert (tmp_path / "split.parquet.corrupt").read_bytes() == data


@given(st.text(), st.text())
def test_safe_names_are_safe_and_distinct(one: str, other: str) -> None:
    for name in (safe_name(one), safe_name(other)):
        assert name[0] not in "-." and len(name) < 80 and "/" not in name and name.isascii()
    assert (safe_name(one) == safe_name(other)) == (one == other)


@given(st.text(), st.integers(1, 5000))
def test_shards_are_stable_and_in_range(source: str, shards: int) -> None:
    assert 0 <= shard_of(source, shards) == shard_of(source, shards) < shards


def test_permanent_statuses_are_statuses() -> None:
    assert set(MEDIA_STATUS) >= PERMANENT_STATUS
    assert "ok" not in PERMANENT_STATUS


def test_the_lock_holds_against_others_and_dies_with_its_process(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = "import sys,time; from avzsl.runtime.jobs import hold_lock; s=hold_lock(sys.argv[1],'busy'); print('held',flush=True); time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(lock)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(AvzslError, match=f"busy.*{holder.pid}"):
            hold_lock(lock, "busy")
    finally:
        holder.kill()
        holder.wait()
    hold_lock(lock, "busy").close()


def test_what_a_killed_process_was_writing_is_removed_later(tmp_path: Path) -> None:
    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    with replacing(folder / "table.parquet") as fresh:
        stale = folder / ".avzsl-unfinished-stale.parquet"
        for path in (stale, folder / "table.json"):
            path.write_text("x", encoding="utf-8")
            os.utime(path, (0, 0))
        sweep(tmp_path)
        assert not stale.exists()
        assert fresh.exists(), "somebody writes it at this moment"
        assert (folder / "table.json").exists()
