"""Broken, odd and enormous files: no crash, no hang, bounded memory, one row with a reason."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.vocabulary import FEATURE_STATUS
from extractors import extract_shard
from extractors.pool import DecodePool, End

from .test_shards import media  # isort: skip

Make = Callable[..., Path]

KINDS = [
    ("clip.mp4", {"seconds": 2.3}),
    ("clip.mp4", {"seconds": 2.3, "b_frames": 3, "options": {"movflags": "faststart"}}),
    ("clip.avi", {"seconds": 2.3, "codec": "mpeg4", "audio_codec": "mp3", "options": {}}),
    ("clip.mkv", {"seconds": 2.3, "codec": "libvpx", "audio_codec": "pcm_s16le", "options": {}}),
    ("clip.webm", {"seconds": 1.3, "codec": "libvpx-vp9", "audio_codec": "libopus", "rate": 48000, "options": {"cpu-used": "8"}}),
    ("clip.mpg", {"seconds": 2.3, "codec": "mpeg2video", "audio_codec": "mp2", "fps": 25, "options": {}}),
    ("clip.ts", {"seconds": 2.3}),
    ("clip.flv", {"seconds": 2.3}),
]  # fmt: skip


def reading(**options: object) -> FeaturesConfig:
    return FeaturesConfig.model_validate({"extractor": "plugin.reading"} | options)


def ends(paths: list[Path], features: FeaturesConfig, workers: int = 2) -> list[tuple[int, End]]:
    """Return for every file how many windows came and how it ended."""
    found = []
    with DecodePool(features, workers) as pool:
        for items in pool.clips(paths):
            *windows, end = list(items)
            assert isinstance(end, End)
            found.append((len(windows), end))
    return found


@pytest.mark.usefixtures("plugins")
def test_kinds_of_files(make_clip: Make) -> None:
    paths = [make_clip(name, **options) for name, options in KINDS]
    for (count, end), (name, options) in zip(ends(paths, reading()), KINDS, strict=True):
        assert end.status == "ok", (name, end)
        assert count == int(float(options["seconds"])), name  # type: ignore[arg-type]


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize("windows", ["uniform", "as_released"])
def test_odd_files(make_clip: Make, windows: str) -> None:
    odd = {
        "1 fps": {"seconds": 3, "fps": 1}, "240 fps": {"seconds": 2.2, "fps": 240}, "8 kHz": {"seconds": 2.2, "rate": 8000},
        "5.1": {"seconds": 2.2, "layout": "5.1", "rate": 48000}, "portrait": {"seconds": 2.2, "size": (48, 200)},
        "one line": {"seconds": 2.2, "size": (640, 2)}, "11988": {"seconds": 2.2, "fps": Fraction(12000, 1001)},
        "small": {"seconds": 2.2, "size": (16, 16)},
    }  # fmt: skip
    paths = [make_clip("odd.mp4", **options) for options in odd.values()]
    for (count, end), name in zip(ends(paths, reading(windows=windows)), odd, strict=True):
        assert end.status == "ok", (name, end)
        assert count >= 1


@pytest.mark.usefixtures("plugins")
def test_wrong_extensions(make_clip: Make, tmp_path: Path) -> None:
    paths = []
    for k, (name, options) in enumerate(KINDS[:4]):
        path = tmp_path / f"{k}.jpg"
        path.write_bytes(make_clip(name, **options).read_bytes())
        paths.append(path)
    assert [end.status for _, end in ends(paths, reading())] == ["ok"] * 4


def broken(whole: bytes, rng: np.random.Generator) -> bytes:
    """Cut a file, flip some of its bytes, or both."""
    data = bytearray(whole)
    if rng.random() < 0.5:
        data = data[: rng.integers(1, len(data))]
    if rng.random() < 0.8:
        count = int(2 ** rng.uniform(0, 9))
        # Headers steer the demuxers, so that half of the flips go there.
        top = len(data) if rng.random() < 0.5 else min(len(data), 2000)
        for place in rng.integers(0, top, count):
            data[place] = rng.integers(0, 256)
    return bytes(data)


def fuzz(make_clip: Make, folder: Path, cases: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    paths: list[Path] = []
    for k in range(cases):
        name, options = KINDS[k % len(KINDS)]
        path = folder / f"{k}-{name}"
        path.write_bytes(broken(make_clip(name, **options).read_bytes(), rng))
        paths.append(path)
    for windows in ("uniform", "as_released"):
        features = reading(windows=windows, time_limit_s=20)
        table = extract_shard(
            media({p.name: p for p in paths}),
            features,
            folder / "s.safetensors",
            folder / "s.parquet",
            threads=2,
            cache=folder,
        )
        assert list(table["clip_id"]) == [p.name for p in paths]
        assert set(table["status"]) <= set(FEATURE_STATUS)
        assert table[table["status"] != "ok"]["reason"].notna().all()
        arrays, _ = read_arrays(folder / "s.safetensors")
        assert len(arrays["audio"]) == table["visual_steps"].sum() == len(arrays["times"])
        # A clip of two seconds cannot grow: broken timestamps must not make windows.
        long = table[table["visual_steps"] > 15]
        assert long.empty, long.to_string()
        # Each one is a fault of FFmpeg's that its own process has caught; many would be a fault of ours.
        crashes = table[table["status"] == "decoder_crash"]
        assert len(crashes) <= cases // 100, crashes[["clip_id", "reason"]].to_string()


@pytest.mark.usefixtures("plugins")
def test_fuzzed_files(make_clip: Make, tmp_path: Path) -> None:
    fuzz(make_clip, tmp_path, 24, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("plugins")
def test_many_fuzzed_files(make_clip: Make, tmp_path: Path) -> None:
    fuzz(make_clip, tmp_path, 560, 1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.usefixtures("plugins")
def test_two_hours_take_the_memory_of_two_minutes(make_clip: Make) -> None:
    quiet = {"fps": 2, "rate": 8000, "audio_codec": "pcm_s16le", "codec": "mpeg4", "options": {}}
    peaks = []
    for seconds in (120, 7200):
        path = make_clip("long.mkv", seconds=seconds, **quiet)
        count, last = 0, None
        with DecodePool(reading(memory=True), 1) as pool:
            for items in pool.clips([path]):
                for item in items:
                    count, last = count + 1, item
        assert isinstance(last, End)
        assert (count - 1, last.status) == (seconds, "ok")
        peaks.append(int(last.reason or 0))
        path.unlink()
    assert peaks[1] < 1.1 * peaks[0] + 10, peaks
    assert peaks[1] < 300, peaks


@pytest.mark.slow
@pytest.mark.usefixtures("plugins")
def test_cost_grows_linearly(make_clip: Make) -> None:
    path = make_clip(seconds=6.0, size=(320, 240))
    seconds = {}
    for clips in (20, 40, 20, 40):
        started = time.monotonic()
        ends([path] * clips, reading(), workers=1)
        seconds[clips] = min(time.monotonic() - started, seconds.get(clips, 1e9))
    assert seconds[40] <= 2.1 * seconds[20] + 1.0, seconds


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.usefixtures("plugins")
def test_8k(make_clip: Make) -> None:
    # Each frame has 33 million pixels; a larger one is refused before it is decoded.
    big = make_clip("8k.mp4", seconds=0.6, fps=5, size=(7680, 4320), codec="mpeg4", options={})
    huge = make_clip("16k.mkv", seconds=0.4, fps=5, size=(8190, 8190), codec="mpeg4", options={})
    [(count, end), (_, refused)] = ends([big, huge], reading(memory=True), workers=1)
    assert (count, end.status) == (1, "ok")
    assert int(end.reason or 0) < 1500
    assert refused.status == "too_large"


@pytest.mark.slow
@pytest.mark.usefixtures("plugins")
def test_killed_at_any_point_and_started_again(make_clip: Make, tmp_path: Path) -> None:
    path = make_clip(seconds=3.0)
    code = (
        "import sys; from pathlib import Path\n"
        "from avzsl.config.features import FeaturesConfig; from extractors import extract_shard; import pandas as pd\n"
        f"rows = [dict(clip_id=str(k), shard=0, status='ok', permanent=False, attempts=1, path={str(path)!r}) for k in range(12)]\n"
        "out = Path(sys.argv[1])\n"
        "f = FeaturesConfig(extractor='plugin.reading')\n"
        "extract_shard(pd.DataFrame(rows), f, out / 's.safetensors', out / 's.parquet', cache=out, threads=2)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def run(folder: Path, kill_after: float | None) -> None:
        folder.mkdir(exist_ok=True)
        with subprocess.Popen([sys.executable, "-c", code, str(folder)], env=environment) as process:
            if kill_after is None:
                assert process.wait() == 0
                return
            time.sleep(kill_after)
            process.send_signal(signal.SIGKILL)

    run(tmp_path / "whole", None)
    expected = {name: (tmp_path / "whole" / name).read_bytes() for name in ("s.safetensors", "s.parquet")}
    for delay in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
        run(tmp_path / "killed", delay)
        for name, data in expected.items():
            out = tmp_path / "killed" / name
            assert not out.exists() or out.read_bytes() == data
    run(tmp_path / "killed", None)
    assert {name: (tmp_path / "killed" / name).read_bytes() for name in expected} == expected
