"""Steps, times, spectra and files of extraction on a few numbers: expected values are counted by hand."""

from __future__ import annotations

import hashlib
import math
import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import Stream, read_streams, write_streams
from avzsl.contracts.tables import read_table, write_table
from extractors import arrays, clips, own, packing
from extractors.arrays import open_arrays
from extractors.base import ClipError, ClipInfo
from extractors.clips import Clip, Steps, covered
from extractors.imported import Given, write_imported
from extractors.log_mel import log_mel, mel_matrix
from extractors.pool import End


@pytest.mark.parametrize(
    ("times", "seconds"),
    [([], 0.0), ([(0, 1), (1, 2)], 2.0), ([(0, 1), (0.5, 1.5), (3, 4)], 2.5), ([(0, 5), (1, 2), (4, 6)], 6.0), ([(2, 2)], 0.0), ([(0, 1 / 3)], 0.333333)],
)  # fmt: skip
def test_seconds_that_steps_cover(times, seconds) -> None:
    assert covered(times) == seconds


@pytest.mark.parametrize(
    ("times", "fine"),
    [([(0, 1), (1, 2)], True), ([(0, 1), (0, 1)], True), ([(1, 1)], True), ([(-2, -1)], True), ([(1, 2), (0, 3)], False), ([(1, 0.5)], False), ([(0, math.inf)], False), ([(math.nan, 1)], False)],
)  # fmt: skip
def test_steps_go_forward(times, fine) -> None:
    assert (Steps(times=times).disorder() is None) is fine


def clip(name: str, audio: int, visual: int, status: str = "ok", **info: Any) -> Clip:
    made = Clip(
        {"clip_id": name, "shard": 3, "status": "ok"},
        End(status, None if status == "ok" else "why", ClipInfo(**info)),
        1,
    )
    for modality, count in (("audio", audio), ("visual", visual)):
        made.steps[modality] = Steps(
            [np.full(2, k, np.float32) for k in range(count)], [(float(k), k + 1.0) for k in range(count)]
        )
    return made


def test_the_row_of_a_clip() -> None:
    row = clip("a", 2, 3, duration_s=3.0).columns()
    assert (
        row["row"],
        row["shard"],
        row["audio_steps"],
        row["visual_steps"],
        row["seconds_covered"],
        row["reason"],
    ) == (1, 3, 2, 3, 2.0, None)
    row = clip("a", 0, 3).columns()
    assert (row["audio_steps"], row["visual_steps"], row["seconds_covered"]) == (0, 3, 3.0)
    row = clip("a", 2, 3, "corrupt").columns()
    assert (row["audio_steps"], row["visual_steps"], row["seconds_covered"], row["reason"]) == (0, 0, None, "why")
    row = Clip({"clip_id": "a", "shard": 0, "status": "gone"}).columns()
    assert (row["status"], row["reason"], row["row"], row["audio_steps"]) == ("no_media", "gone", -1, 0)


def test_a_clip_that_lacks_steps_says_of_what() -> None:
    both = {"audio": 4, "visual": 4}
    for made, dims, expected in (
        (clip("a", 1, 1), both, ("ok", None)), (clip("a", 0, 1), both, ("too_short", "it gave no step of sound")), (clip("a", 1, 0), both, ("too_short", "it gave no step of picture")),
        (clip("a", 0, 1), {"audio": 0, "visual": 4}, ("ok", None)), (clip("a", 0, 1, absent="no_audio_stream", note="silent"), both, ("no_audio_stream", "silent")),
        (clip("a", 0, 1, note="odd"), both, ("too_short", "it gave no step of sound")),
    ):  # fmt: skip
        clips._judge(made, dims)
        assert (made.end.status, made.end.reason) == expected
    late = clip("a", 2, 2)
    late.steps["visual"].times.reverse()
    clips._judge(late, both)
    assert late.end.status == "unsupported" and late.end.reason.startswith(
        "its steps of picture go back in time: a step from 0 to 1 s follows one that starts at 1 s"
    )


def test_the_streams_of_several_clips() -> None:
    networks: Any = SimpleNamespace(audio_dim=2, visual_dim=2)
    held = clips.streams_of([clip("a", 2, 1), clip("b", 1, 1, "corrupt"), clip("c", 0, 3)], networks, "float32")
    assert held["audio"].offsets.tolist() == [0, 2, 2, 2] and held["visual"].offsets.tolist() == [0, 1, 1, 4]
    assert held["visual"].values[:, 0].tolist() == [0, 0, 1, 2]
    assert held["visual"].times.tolist() == [[0, 1], [0, 1], [1, 2], [2, 3]]
    empty = clips.streams_of([], SimpleNamespace(audio_dim=3, visual_dim=0), "float16")
    assert (
        empty["audio"].values.shape == (0, 3)
        and empty["audio"].times.shape == (0, 2)
        and empty["audio"].offsets.tolist() == [0]
    )


def imported(given: dict[str, dict[str, Given]], tmp_path: Path, **keys: Any) -> tuple[pd.DataFrame, dict[str, Stream]]:
    def read(name: str, modality: str) -> Given:
        if name not in given:
            raise ClipError("no_media", "not there")
        return given[name][modality]

    names = [*given, "lost"]
    table = write_imported(
        Path("f"), names, read, tmp_path / "a.safetensors", tmp_path / "m.parquet", identity={"name": "x"}, **keys
    )
    return table.set_index("clip_id"), read_streams(tmp_path / "a.safetensors")[0]


def test_features_that_exist_already(tmp_path: Path) -> None:
    two, times = np.arange(4.0).reshape(2, 2), np.array([[1.0, 1.0], [1.0, 4.5]])
    good = {"audio": Given(two), "visual": Given(np.arange(3.0))}
    given = {
        "a": good, "timed": {"audio": Given(two, times), "visual": Given(np.ones((2, 3)))},
        "nan": good | {"audio": Given(two * np.nan)}, "none": good | {"audio": Given(two[:0])}, "flat": good | {"audio": Given(two[:, :0])},
        "cube": good | {"audio": Given(np.ones((1, 2, 2)))}, "text": good | {"audio": Given(np.array(["x"]))}, "back": good | {"audio": Given(two, np.array([[2.0, 3.0], [1.0, 4.0]]))},
        "turned": good | {"audio": Given(two, times[:, ::-1])}, "endless": good | {"audio": Given(two, times + np.array([0, np.inf]))}, "three": good | {"audio": Given(two, np.zeros((3, 2)))},
        "last": good,
    }  # fmt: skip
    table, streams = imported(given, tmp_path)
    assert table["status"].to_dict() == {
        "a": "ok", "timed": "ok", "nan": "corrupt", "none": "too_short", "flat": "corrupt", "cube": "corrupt", "text": "corrupt", "back": "unsupported", "turned": "unsupported",
        "endless": "unsupported", "three": "corrupt", "last": "ok", "lost": "no_media",
    }  # fmt: skip
    assert table["row"].to_dict() | {"a": 0, "timed": 1, "last": 2} == table["row"].to_dict()
    assert table.loc[["a", "timed", "lost"], ["row", "shard", "audio_steps", "visual_steps"]].to_numpy().tolist() == [
        [0, 0, 2, 1],
        [1, 0, 2, 2],
        [-1, 0, 0, 0],
    ]
    # Of the two modalities the one that covers less.
    assert table.loc[["a", "timed"], "seconds_covered"].tolist() == [1.0, 2.0]
    assert streams["audio"].clip(0)[1].tolist() == [[0, 1], [1, 2]] and streams["visual"].clip(1)[1].tolist() == [
        [0, 1],
        [1, 2],
    ]
    assert streams["audio"].clip(1)[1].tolist() == times.tolist() and streams["visual"].clip(2)[0].tolist() == [
        [0, 1, 2]
    ]
    table, streams = imported({"a": good}, tmp_path, step_seconds=(0.5, 2.0))
    assert table.loc["a", "seconds_covered"] == 1.0 and streams["visual"].times.tolist() == [[0, 2]]
    table, streams = imported({"a": good}, tmp_path, modalities=("visual",))
    assert table.loc["a", ["audio_steps", "visual_steps"]].tolist() == [0, 1] and streams["audio"].values.shape == (
        0,
        0,
    )
    with pytest.raises(DataError, match="have 3 columns, those of 'a' 2"):
        imported({"a": good, "b": good | {"audio": Given(np.ones(3))}}, tmp_path)


def test_clips_of_a_csv_are_named_by_its_texts(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip_id,class_name\nNA,x\n007,y\nnan,z\n")
    assert own._order(tmp_path) == {"NA": 0, "007": 1, "nan": 2}
    digest = hashlib.sha256((tmp_path / "clips.csv").read_bytes()).hexdigest()
    assert own._identity(tmp_path, None) == f"clips.csv sha256 {digest[:16]}"


@pytest.mark.parametrize(
    ("rows", "offsets", "fine"),
    [(3, [0, 1, 3], True), (3, [0, 0, 3], True), (3, [1, 2, 3], False), (3, [0, 1, 2], False), (3, [0, 4, 3], False), (3, [0, 3], False), (2, None, True), (3, None, False)],
)  # fmt: skip
def test_offsets_cut_the_rows(rows, offsets, fine) -> None:
    held: Any = {"audio": np.zeros((rows, 2))} | ({} if offsets is None else {"offsets": np.array(offsets)})
    file: Any = SimpleNamespace(shape=lambda name: held[name].shape if name in held else None, read=held.get)
    assert own._offsets(Path("f"), file, "visual", 2) is None
    if fine:
        assert own._offsets(Path("f"), file, "audio", 2).tolist() == (offsets or [0, 1, 2])
        # Offsets of its own come first.
        held["audio_offsets"] = np.array([0, rows, rows])
        assert own._offsets(Path("f"), file, "audio", 2).tolist() == [0, rows, rows]
    else:
        with pytest.raises(DataError, match=f"{len(offsets or [0, 1, 2])} offsets for the 2 clips"):
            own._offsets(Path("f"), file, "audio", 2)


def test_how_much_of_an_array_may_be_asked_for(monkeypatch) -> None:
    assert arrays.LARGEST == 4 * 2**30
    monkeypatch.setattr(arrays, "LARGEST", 48)
    fits = lambda *given: arrays._fits(Path("f"), "a", *given)  # noqa: E731
    fits((2, 3), 8, None), fits((9, 3), 8, slice(2, 4)), fits((), 48, None), fits([9, 3], 8, slice(7, 99))
    for given in (((3, 3), 8, None), ((9, 3), 8, slice(2, 5)), ((), 49, None), ((9, 6), 8, slice(-2, None))):
        with pytest.raises(DataError, match="is larger than"):
            fits(*given)


def test_short_floats_and_archives(tmp_path: Path, monkeypatch) -> None:
    values = torch.arange(6.0).reshape(3, 2)
    save_file({"short": values.to(torch.bfloat16), "plain": values}, tmp_path / "f.safetensors")
    np.savez(tmp_path / "f.npz", plain=values.numpy(), short=values.numpy())
    for name in ("f.safetensors", "f.npz"):
        with ExitStack() as stack:
            held = open_arrays(tmp_path / name, stack)
            for array in ("short", "plain"):
                assert held.shape(array) == (3, 2) and held.read(array).tolist() == values.tolist()
                assert (
                    held.read(array, slice(1, 3)).tolist() == values[1:].tolist()
                    and held.read(array).dtype == np.float32
                )
            assert held.shape("none") is None and held.read("none") is None
    for limit in (24, 23):  # three rows of two numbers of four bytes
        monkeypatch.setattr(arrays, "LARGEST", limit)
        with ExitStack() as stack:
            held = open_arrays(tmp_path / "f.safetensors", stack)
            if limit == 24:
                held.read("plain")
            else:
                with pytest.raises(DataError, match="is larger than"):
                    held.read("plain")
    with zipfile.ZipFile(tmp_path / "f.npz") as archive:
        largest = max(entry.file_size for entry in archive.infolist())
    for limit in (largest, largest - 1):
        monkeypatch.setattr(arrays, "LARGEST", limit)
        with ExitStack() as stack:
            if limit == largest:
                open_arrays(tmp_path / "f.npz", stack)
            else:
                with pytest.raises(DataError, match="is larger than 0 GiB"):
                    open_arrays(tmp_path / "f.npz", stack)


def test_averages_of_pieces(monkeypatch) -> None:
    steps = np.arange(20, dtype=np.float32).reshape(10, 2)
    offsets = np.array([0, 1, 4, 6, 10])
    expected = [[0, 1], [4, 5], [9, 10], [15, 16]]
    for piece, sizes in ((1, [1, 1, 1, 1]), (32, [2, 1, 1]), (48, [3, 1]), (80, [4])):
        monkeypatch.setattr(packing, "PIECE", piece)
        parts = list(packing.averages(steps, offsets))
        assert np.concatenate(parts).tolist() == expected and [len(part) for part in parts] == sizes
    assert packing.average(np.zeros((0, 0)), np.array([0, 0, 0])).shape == (2, 0)
    assert packing.average(np.zeros((0, 3)), np.array([0])).shape == (0, 3)


def test_shards_become_a_pack_and_one_file_of_steps(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(packing, "PIECE", 16)
    files = []
    for number, (names, lengths) in enumerate((("ab", [1, 2]), ("c", [3]))):
        count = sum(lengths)
        values = 10 * number + np.arange(2 * count, dtype=np.float32).reshape(-1, 2)
        times = np.stack([np.arange(count), np.arange(count) + 1.0], 1)
        streams = {
            name: Stream(values + k, np.cumsum([0, *lengths]), times) for k, name in enumerate(("audio", "visual"))
        }
        path = tmp_path / f"{number}.safetensors"
        write_streams(path, streams, {"clip_ids": [*names], "extractor": {"name": "x"}, "dtype": "float32"})
        rows = [
            {"clip_id": n, "shard": number, "status": "ok", "row": k, "audio_steps": s, "visual_steps": s}
            for k, (n, s) in enumerate(zip(names, lengths, strict=True))
        ]
        rows.insert(
            0,
            {
                "clip_id": f"lost {number}",
                "shard": number,
                "status": "corrupt",
                "row": -1,
                "audio_steps": 0,
                "visual_steps": 0,
            },
        )
        write_table(path.with_suffix(".parquet"), pd.DataFrame(rows, columns=list(FEATURES.columns)), FEATURES)
        files.append((path, path.with_suffix(".parquet")))
    packing.pack(files, tmp_path / "p.safetensors", tmp_path / "p.parquet")
    held, header = read_arrays(tmp_path / "p.safetensors")
    assert header["clip_ids"] == [*"abc"] and header["sha256"] == {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p, _ in files
    }
    assert held["audio"].tolist() == [[0, 1], [3, 4], [12, 13]] and held["visual"].tolist() == [
        [1, 2],
        [4, 5],
        [13, 14],
    ]
    assert read_table(tmp_path / "p.parquet", FEATURES)["row"].tolist() == [-1, 0, 1, -1, 2]
    packing.pack_steps([path for path, _ in files], tmp_path / "p.safetensors", tmp_path / "s.safetensors")
    steps, _ = read_streams(tmp_path / "s.safetensors")
    assert steps["visual"].offsets.tolist() == [0, 1, 3, 6] and steps["visual"].values[:, 0].tolist() == [
        1,
        3,
        5,
        11,
        13,
        15,
    ]
    assert steps["audio"].times[:, 0].tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(DataError, match="made of other shards than these, or in another order"):
        packing.pack_steps([path for path, _ in files[::-1]], tmp_path / "p.safetensors", tmp_path / "s.safetensors")


def test_the_log_mel_spectrum_of_an_impulse() -> None:
    """An impulse has the same magnitude in every bin: the window's there. A frame then shows the sums of the triangles."""
    mel = lambda hz: 1127 * math.log(1 + hz / 700)  # noqa: E731
    edges = [mel(125) + k * (mel(7500) - mel(125)) / 65 for k in range(66)]
    weights = np.zeros((257, 64))
    for number in range(1, 257):
        at = mel(number * 16000 / 512)
        for band in range(64):
            low, centre, high = edges[band : band + 3]
            weights[number, band] = max(0, min((at - low) / (centre - low), (high - at) / (high - centre)))
    np.testing.assert_allclose(mel_matrix(), weights, atol=1e-12)
    samples = np.zeros(400 + 2 * 160 + 159)
    samples[360] = 0.5
    heights = [0.5 * (0.5 - 0.5 * math.cos(2 * math.pi * at / 400)) for at in (360, 200, 40)]
    expected = [np.log(height * weights.sum(0) + 0.01) for height in heights]
    np.testing.assert_allclose(log_mel(samples, 0.01), expected, atol=1e-9)
