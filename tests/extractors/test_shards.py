"""A shard: every clip in, one row out; crashes, hangs and broken files cost their clip alone."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import ConfigError, CorruptError, DataError
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import Stream, as_type, map_streams, read_streams, shared, write_streams
from avzsl.contracts.tables import read_table, write_table
from extractors import extract_shard, pack
from extractors.base import find_extractor
from extractors.clips import Clip, covered, extract_clips
from extractors.packing import average, pack_steps
from extractors.pool import DecodePool, End

Make = Callable[..., Path]


def media(paths: dict[str, Path | None], status: str = "ok") -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"clip_id": clip_id, "shard": 3, "status": status if path else "geo_blocked", "permanent": False, "attempts": 1, "path": str(path) if path else None}
            for clip_id, path in paths.items()
        ]
    )  # fmt: skip


def script(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def scripted(**options: Any) -> FeaturesConfig:
    return FeaturesConfig.model_validate({"extractor": "plugin.scripted"} | options)


def selavi(**options: Any) -> FeaturesConfig:
    return FeaturesConfig.model_validate({"weights": {"random_seed": 0}} | options)


def extract(frame: pd.DataFrame, features: FeaturesConfig, folder: Path, **options: Any) -> pd.DataFrame:
    return extract_shard(
        frame, features, folder / "s.safetensors", folder / "s.parquet", cache=folder / "cache", device="cpu", **options
    )


@pytest.mark.usefixtures("plugins")
def test_every_clip_has_a_row(tmp_path: Path) -> None:
    paths: dict[str, Path | None] = {
        "a": script(tmp_path, "a", "windows 3"), "-b": script(tmp_path, "b", "crash 2"), "c\n'ü\"": script(tmp_path, "c", "windows 1"),
        "d": None, "e": script(tmp_path, "e", "error"), "f": script(tmp_path, "f", "memory"), "g": script(tmp_path, "g", "noise"),
        "h": script(tmp_path, "h", "windows 0"), "i": script(tmp_path, "i", "crash 0"), "j": script(tmp_path, "j", "windows 20"),
    }  # fmt: skip
    table = extract(media(paths), scripted(), tmp_path, threads=2)
    assert list(table["clip_id"]) == list(paths)
    assert dict(zip(table["clip_id"], table["status"], strict=True)) == {
        "a": "ok", "-b": "decoder_crash", "c\n'ü\"": "ok", "d": "no_media", "e": "corrupt", "f": "too_large", "g": "ok", "h": "too_short",
        "i": "decoder_crash", "j": "ok",
    }  # fmt: skip
    assert table.set_index("clip_id")["reason"]["d"] == "geo_blocked"
    assert "SIGSEGV" in table.set_index("clip_id")["reason"]["-b"]
    assert list(table["row"]) == [0, -1, 1, -1, -1, -1, 2, -1, -1, 3]
    assert list(table["audio_steps"]) == [3, 0, 1, 0, 0, 0, 1, 0, 0, 20]
    assert read_table(tmp_path / "s.parquet", FEATURES)["status"].tolist() == table["status"].tolist()
    arrays, header = read_arrays(tmp_path / "s.safetensors")
    assert set(arrays) == {"audio", "visual", "offsets", "times"}  # steps that both share are stored once
    assert header["clip_ids"] == ["a", "c\n'ü\"", "g", "j"]
    assert arrays["offsets"].tolist() == [0, 3, 4, 5, 25]
    assert arrays["audio"].shape == (25, 2)
    assert arrays["visual"][:4, 0].tolist() == [7, 8, 9, 7]
    assert arrays["times"][3:5].tolist() == [[0, 1], [0, 1]]


@pytest.mark.usefixtures("plugins")
def test_sound_and_picture_have_steps_of_their_own(tmp_path: Path) -> None:
    paths: dict[str, Path | None] = {
        "a": script(tmp_path, "a", "apart 3 5"), "mute": script(tmp_path, "m", "apart 0 2"), "pair": script(tmp_path, "p", "windows 2"),
        "blind": script(tmp_path, "b", "apart 2 0"), "back": script(tmp_path, "k", "apart 1 3 -0.5"), "z": script(tmp_path, "z", "apart 9 1"),
    }  # fmt: skip
    table = extract(media(paths), scripted(), tmp_path, threads=2).set_index("clip_id")
    assert table["status"].to_dict() == {
        "a": "ok", "mute": "too_short", "pair": "ok", "blind": "too_short", "back": "unsupported", "z": "ok",
    }  # fmt: skip
    assert table["reason"]["mute"] == "it gave no step of sound"
    assert table["reason"]["blind"] == "it gave no step of picture"
    assert "its steps of picture go back in time" in table["reason"]["back"]
    assert table["audio_steps"].tolist() == [3, 0, 2, 0, 0, 9]
    assert table["visual_steps"].tolist() == [5, 0, 2, 0, 0, 1]
    assert table["seconds_covered"]["a"] == 2.5  # the picture's; the sound's are 3
    streams, header = read_streams(tmp_path / "s.safetensors")
    assert header["clip_ids"] == ["a", "pair", "z"]
    assert streams["audio"].offsets.tolist() == [0, 3, 5, 14]
    assert streams["visual"].offsets.tolist() == [0, 5, 7, 8]
    values, times = streams["visual"].clip(0)
    assert values[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert times[1].tolist() == [10.5, 11.0]
    assert not shared(streams)
    assert average(streams["visual"].values, streams["visual"].offsets)[:, 1].tolist() == [2.0, 7.5, 0.0]


@pytest.mark.usefixtures("plugins")
def test_sixteen_bits(tmp_path: Path) -> None:
    paths: dict[str, Path | None] = {"a": script(tmp_path, "a", "windows 3")}
    extract(media(paths), scripted(dtype="float16"), tmp_path)
    streams, header = read_streams(tmp_path / "s.safetensors")
    assert header["dtype"] == "float16"
    assert streams["visual"].values.dtype == np.float16
    assert streams["visual"].values[:, 0].tolist() == [7, 8, 9]
    with pytest.raises(ConfigError, match="70000 does not fit in float16; use float32"):
        as_type(np.array([[70000.0]], np.float32), "float16")


@pytest.mark.usefixtures("plugins")
def test_a_hanging_decoder_meets_the_time_limit(tmp_path: Path) -> None:
    paths = {"a": script(tmp_path, "a", "hang"), "b": script(tmp_path, "b", "windows 2")}
    started = time.monotonic()
    table = extract(media(dict(paths)), scripted(time_limit_s=2.0), tmp_path)
    assert list(table["status"]) == ["time_limit", "ok"]
    assert "2 s" in table["reason"][0]
    assert time.monotonic() - started < 60


@pytest.mark.usefixtures("plugins")
def test_a_long_clip_may_take_long(tmp_path: Path) -> None:
    # Six windows of a second, a quarter of a second each: past the limit, but not past limit and length.
    paths = {"a": script(tmp_path, "a", "windows 6 0.25")}
    assert list(extract(media(dict(paths)), scripted(time_limit_s=1.0), tmp_path)["status"]) == ["ok"]


@pytest.mark.usefixtures("plugins")
def test_the_clock_stops_while_the_networks_are_busy(tmp_path: Path) -> None:
    # Thirty windows wait for a slow consumer far longer than the limit; decoding them takes no time.
    path = script(tmp_path, "a", "windows 30")
    with DecodePool(scripted(time_limit_s=1.0), 1) as pool:
        for items in pool.clips([path]):
            seen = []
            for item in items:
                seen.append(item)
                time.sleep(0.08)
    assert isinstance(seen[-1], End)
    assert seen[-1].status == "ok"
    assert len(seen) == 31


@pytest.mark.usefixtures("plugins")
def test_the_same_bytes_whatever_the_timing(tmp_path: Path) -> None:
    paths: dict[str, Path | None] = {
        f"clip{k}": script(tmp_path, f"{k}", f"windows {1 + k % 4} {0.02 * (k % 3)}") for k in range(12)
    }
    outputs = []
    for threads in (1, 3, 3):
        extract(media(paths), scripted(), tmp_path, threads=threads)
        outputs.append([(tmp_path / name).read_bytes() for name in ("s.safetensors", "s.parquet")])
    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.usefixtures("plugins")
def test_a_mistake_in_an_extractor_is_not_hidden(tmp_path: Path) -> None:
    paths = {"a": script(tmp_path, "a", "bug"), "b": script(tmp_path, "b", "windows 1")}
    table = extract(media(dict(paths)), scripted(), tmp_path)
    assert list(table["status"]) == ["decoder_crash", "ok"]
    assert "RuntimeError: a mistake in the extractor" in table["reason"][0]


@pytest.mark.usefixtures("plugins")
def test_leaving_the_pool_ends_its_processes(tmp_path: Path) -> None:
    paths = [script(tmp_path, f"{k}", "hang") for k in range(3)]
    pool = DecodePool(scripted(), 2)
    with pytest.raises(KeyboardInterrupt), pool:
        for _ in pool.clips(paths):
            time.sleep(1.5)
            raise KeyboardInterrupt
    deadline = time.monotonic() + 20
    while any(t.name.startswith("decode-") for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(t.name.startswith("decode-") for t in threading.enumerate())


def test_an_empty_shard(tmp_path: Path) -> None:
    table = extract(media({}), selavi(), tmp_path)
    assert len(table) == 0
    arrays, header = read_arrays(tmp_path / "s.safetensors")
    assert arrays["audio"].shape == (0, 512)
    assert arrays["offsets"].tolist() == [0]
    assert header["extractor"]["random_weights"] is True


@pytest.mark.parametrize("windows", ["uniform", "as_released"])
def test_broken_files(make_clip: Make, tmp_path: Path, windows: str) -> None:
    whole = make_clip(seconds=2.2).read_bytes()
    good = tmp_path / "gööd 'one'\".mp4"
    good.write_bytes(whole)
    files = {
        "text.mp4": b"no film at all\n" * 50, "zero.mp4": b"", "half.mp4": whole[: len(whole) // 2], "headless.mp4": whole[300:],
        "noise.mp4": np.random.default_rng(0).bytes(5000), "tail.mp4": whole[:-7],
    }  # fmt: skip
    paths: dict[str, Path | None] = {
        "-good": good,
        "absent": tmp_path / "absent.mp4",
        "folder": tmp_path / "folder.mp4",
    }
    (tmp_path / "folder.mp4").mkdir()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        paths[name] = tmp_path / name
    paths["mute"] = make_clip(seconds=2.2, audio=False)
    paths["blind"] = make_clip("song.m4a", seconds=2.2, video=False)
    paths["blink"] = make_clip(seconds=0.2)
    table = extract(media(paths), selavi(windows=windows), tmp_path).set_index("clip_id")
    assert list(table.index) == list(paths)
    status = table["status"].to_dict()
    assert status["-good"] == "ok"
    assert status["mute"] == "no_audio_stream"
    assert status["blind"] == "no_video_stream"
    assert status["blink"] == "too_short"
    broken = set(paths) - {"-good", "mute", "blind", "blink", "tail.mp4"}
    assert {status[name] for name in broken} == {"corrupt"}
    assert all(reason for name, reason in table["reason"].items() if status[str(name)] != "ok")
    arrays, _ = read_arrays(tmp_path / "s.safetensors")
    assert np.isfinite(arrays["audio"]).all()
    assert np.isfinite(arrays["visual"]).all()
    assert table["video_codec"]["-good"] == "h264"
    assert table["video_codec"]["mute"] == "h264"


def test_covered() -> None:
    assert covered([(0, 1), (1, 2), (2, 2.5)]) == 2.5
    assert covered([(0, 1), (0.5, 1.5), (3, 4)]) == 2.5
    assert covered([]) == 0.0


def test_unknown_extractor(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no extractor 'nothing'"):
        extract(media({}), FeaturesConfig(extractor="nothing"), tmp_path)


@pytest.mark.usefixtures("plugins")
def test_pack(tmp_path: Path) -> None:
    shards = []
    for name, lengths in (("0000", [2, 0, 3]), ("0001", [1])):
        folder = tmp_path / name
        folder.mkdir()
        extract(
            media({f"{name}-{k}": script(folder, str(k), f"windows {n}") for k, n in enumerate(lengths)}),
            scripted(),
            folder,
        )
        shards.append((folder / "s.safetensors", folder / "s.parquet"))
    pack(shards, tmp_path / "p.safetensors", tmp_path / "p.parquet")
    table, (arrays, header) = read_table(tmp_path / "p.parquet", FEATURES), read_arrays(tmp_path / "p.safetensors")
    assert list(table["row"]) == [0, -1, 1, 2]
    assert header["clip_ids"] == ["0000-0", "0000-2", "0001-0"]
    assert arrays["visual"][:, 0].tolist() == [7.5, 8.0, 7.0]
    assert header["extractor"]["name"] == "scripted"
    first = (tmp_path / "p.safetensors").read_bytes()
    pack(shards, tmp_path / "p.safetensors", tmp_path / "p.parquet")
    assert (tmp_path / "p.safetensors").read_bytes() == first
    with pytest.raises(DataError, match="appears twice"):
        pack([shards[0], shards[0]], tmp_path / "q.safetensors", tmp_path / "q.parquet")
    with pytest.raises(DataError, match="its clips are not those of its table"):
        pack([(shards[0][0], shards[1][1])], tmp_path / "q.safetensors", tmp_path / "q.parquet")
    with pytest.raises(DataError, match="no shard"):
        pack([], tmp_path / "q.safetensors", tmp_path / "q.parquet")


def test_averages_are_packed_in_pieces_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces smaller than a clip, of some clips and of all give the same file, which holds each clip's own mean."""
    rng = np.random.default_rng(0)
    shards, means = [], []
    for number, lengths in enumerate(([3, 1, 40, 2], [7])):
        offsets = np.cumsum([0, *lengths], dtype=np.int64)
        values = rng.standard_normal((offsets[-1], 5)).astype(np.float16)
        means += [values[a:b].mean(0, dtype=np.float32) for a, b in itertools.pairwise(offsets)]
        ids = [f"{number}/{k}" for k in range(len(lengths))]
        times = np.zeros((len(values), 2))
        nothing = Stream(np.zeros((0, 0), np.float32), np.zeros(len(offsets), np.int64), np.zeros((0, 2)))
        files = (tmp_path / f"{number}.safetensors", tmp_path / f"{number}.parquet")
        write_streams(
            files[0], {"audio": nothing, "visual": Stream(values, offsets, times)}, {"clip_ids": ids, "extractor": {}}
        )
        table = pd.DataFrame({"clip_id": ids, "shard": number, "status": "ok", "row": np.arange(len(ids))})
        write_table(files[1], table.assign(audio_steps=0, visual_steps=lengths), FEATURES)
        shards.append(files)
    made = []
    for piece in (1, 100, 1 << 20):
        monkeypatch.setattr("extractors.packing.PIECE", piece)
        pack(shards, tmp_path / "p.safetensors", tmp_path / "p.parquet")
        made.append((tmp_path / "p.safetensors").read_bytes())
    assert made[0] == made[1] == made[2]
    arrays, _ = read_arrays(tmp_path / "p.safetensors")
    assert np.array_equal(arrays["visual"], np.stack(means))
    assert arrays["audio"].shape == (5, 0)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".parquet"] * 3 + [".safetensors"] * 3
    damaged = bytearray(shards[1][0].read_bytes())
    damaged[-3] ^= 1
    shards[1][0].write_bytes(damaged)
    with pytest.raises(CorruptError, match="checksum is wrong"):
        pack(shards, tmp_path / "p.safetensors", tmp_path / "p.parquet")


@pytest.mark.usefixtures("plugins")
def test_pack_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = []
    for name, texts in (("0000", ["windows 2", "error", "apart 3 1"]), ("0001", ["apart 40 90"]), ("0002", [])):
        files = (tmp_path / f"{name}.safetensors", tmp_path / f"{name}.parquet")
        frame = media({f"{name}-{k}": script(tmp_path, f"{name}-{k}", text) for k, text in enumerate(texts)})
        extract_shard(frame, scripted(), *files, cache=tmp_path / "cache", device="cpu")
        shards.append(files)
    packed = (tmp_path / "p.safetensors", tmp_path / "p.parquet")
    pack(shards, *packed)
    arrays = [files[0] for files in shards]
    monkeypatch.setattr("extractors.packing.PIECE", 100)
    pack_steps(arrays, packed[0], tmp_path / "steps.safetensors")
    streams, header = map_streams(tmp_path / "steps.safetensors")
    again, verified = read_streams(tmp_path / "steps.safetensors")
    assert header.pop("checksum")
    assert header == verified
    averages, _ = read_arrays(packed[0])
    assert header["clip_ids"] == ["0000-0", "0000-2", "0001-0"]
    for name, stream in streams.items():
        for field in ("values", "offsets", "times"):
            assert np.array_equal(getattr(stream, field), getattr(again[name], field))
        assert np.array_equal(average(stream.values, stream.offsets), averages[name])
    assert streams["visual"].offsets.tolist() == [0, 2, 3, 93]
    assert streams["visual"].clip(2)[1][89].tolist() == [54.5, 55.0]
    first = (tmp_path / "steps.safetensors").read_bytes()
    monkeypatch.setattr("extractors.packing.PIECE", 1 << 20)
    pack_steps(arrays, packed[0], tmp_path / "steps.safetensors")
    assert (tmp_path / "steps.safetensors").read_bytes() == first
    with pytest.raises(DataError, match="in another order"):
        pack_steps(arrays[1:], packed[0], tmp_path / "q.safetensors")
    (tmp_path / "short.safetensors").write_bytes(first[:-8])
    with pytest.raises(CorruptError, match="not a whole file of features"):
        map_streams(tmp_path / "short.safetensors")
    arrays[1].write_bytes(arrays[0].read_bytes())
    with pytest.raises(DataError, match="has changed since"):
        pack_steps(arrays, packed[0], tmp_path / "q.safetensors")


def test_importing_the_package_is_light() -> None:
    code = "import sys, extractors; assert not {'torch', 'av', 'pandas'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=True)


@pytest.mark.usefixtures("plugins")
def test_a_batch_is_begun_before_the_one_before_it_is_asked_for(tmp_path: Path) -> None:
    """A GPU then always has work while the host stacks and copies."""
    networks = find_extractor("plugin.scripted").load(scripted(), "cpu", 1, tmp_path)
    clips = [Clip(media({"c": script(tmp_path, "c", "windows 10")}).to_dict("records")[0])]
    extract_clips(clips, networks, scripted(), threads=1)
    assert networks.events == ["begun 1", "begun 2", "got 1", "begun 3", "got 2", "got 3"]  # type: ignore[attr-defined]
    assert [len(steps.values) for steps in clips[0].steps.values()] == [10, 10]
