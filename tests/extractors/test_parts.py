"""A shard whose job ended early goes on from its finished clips, and is the same to the byte."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.runtime.accelerator import LostError
from extractors import extract_shard
from extractors.base import Features, Window
from extractors.parts import EVERY_S

pytestmark = pytest.mark.usefixtures("plugins")
HERE = Path(__file__).parent
SCRIPTED = FeaturesConfig.model_validate({"extractor": "plugin.scripted"})


def shard(folder: Path, texts: Sequence[str]) -> pd.DataFrame:
    rows = []
    for k, text in enumerate(texts):
        path = folder / f"clip{k}"
        path.write_text(text, encoding="utf-8")
        rows.append({"clip_id": f"clip{k}", "shard": 0, "status": "ok", "path": str(path), "sha256": f"{k:064d}"})
    return pd.DataFrame(rows)


TEXTS = ["windows 3", "error", "apart 2 3", "crash 1", "windows 5", "windows 2", "apart 0 4", "windows 6", "windows 1"]


class Lost:
    """Networks of `plugin.scripted` whose GPU goes away at some batch; counts the windows that came before.

    Those of a clip whose decoder crashes are left out: how many arrive before each crash is the system's affair.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int | None) -> None:
        from plugin import scripted

        self.windows, self.at = 0, at
        whole = scripted.Sums.embed

        def embed(networks: Any, windows: Sequence[Window]) -> Features:
            if self.at is not None and len(networks.batches) == self.at:
                raise LostError("the GPU was lost")
            self.windows += sum(w.audio is None or w.visual is None or bool(w.visual.any()) for w in windows)
            return whole(networks, windows)

        monkeypatch.setattr(scripted.Sums, "embed", embed)


def extract(media: pd.DataFrame, folder: Path, settings: FeaturesConfig = SCRIPTED, threads: int = 2) -> pd.DataFrame:
    return extract_shard(
        media,
        settings,
        folder / "s.safetensors",
        folder / "s.parquet",
        cache=folder / "c",
        device="cpu",
        threads=threads,
    )


def test_the_next_attempt_goes_on_from_the_finished_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    media = shard(tmp_path, TEXTS)
    extract(media, tmp_path)
    whole = [(tmp_path / name).read_bytes() for name in ("s.safetensors", "s.parquet")]
    assert not (tmp_path / "s.parts").exists(), "a whole shard keeps no parts"
    (tmp_path / "s.safetensors").unlink()

    card = Lost(monkeypatch, at=3)
    with pytest.raises(LostError):
        extract(media, tmp_path)
    assert not (tmp_path / "s.safetensors").exists()
    [part] = (tmp_path / "s.parts").iterdir()
    kept = read_arrays(part)[1]["clip_ids"]
    # Batches of four windows, and one is under way while the next is begun. A crash is tried again.
    assert kept == ["clip0", "clip1", "clip2"]

    card.windows, card.at = 0, None
    with caplog.at_level("INFO"):
        table = extract(media, tmp_path)
    assert "3 of 9 clips are there from an attempt that ended early" in caplog.text
    assert card.windows == sum((5, 2, 4, 6, 1)), "finished clips are not computed again"
    assert [(tmp_path / name).read_bytes() for name in ("s.safetensors", "s.parquet")][1] == whole[1]
    arrays, header = read_arrays(tmp_path / "s.safetensors")
    assert header.pop("measured_earlier") == [{}]
    (tmp_path / "w.safetensors").write_bytes(whole[0])
    expected, plain = read_arrays(tmp_path / "w.safetensors")
    assert header == plain
    assert {name: array.tobytes() for name, array in arrays.items()} == {n: a.tobytes() for n, a in expected.items()}
    assert len(table) == len(TEXTS)
    assert not (tmp_path / "s.parts").exists()


def test_parts_of_something_else_are_left_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    media = shard(tmp_path, TEXTS)
    card = Lost(monkeypatch, at=4)

    def lost() -> Path:
        card.at = 4
        with pytest.raises(LostError):
            extract(media, tmp_path)
        [part] = (tmp_path / "s.parts").iterdir()
        card.at, card.windows = None, 0
        return part

    def windows(media: pd.DataFrame, settings: FeaturesConfig = SCRIPTED) -> int:
        extract(media, tmp_path, settings)
        return card.windows

    lost()
    everything = windows(media, FeaturesConfig.model_validate({"extractor": "plugin.scripted", "time_limit_s": 300}))
    lost()
    assert windows(media) < everything
    lost()
    other = media.copy()
    other.loc[0, "sha256"] = "f" * 64
    assert windows(other) == everything
    part = lost()
    data = bytearray(part.read_bytes())
    data[-3] ^= 1
    part.write_bytes(data)
    caplog.clear()
    assert windows(media) == everything
    assert "its clips are extracted again" in caplog.text


def test_finished_clips_are_kept_from_time_to_time(tmp_path: Path) -> None:
    """Killed without a word: what was written until then is there."""
    media = shard(tmp_path, ["windows 4", "windows 4", "windows 4", "hang"])
    media.to_json(tmp_path / "media.json", orient="records")
    program = (
        "import sys, pandas; from pathlib import Path; import extractors.parts; extractors.parts.EVERY_S = 0.0\n"
        "from tests.extractors.test_parts import extract\n"
        "extract(pandas.read_json(sys.argv[1] + '/media.json', orient='records', dtype={'sha256': str}), Path(sys.argv[1]), threads=1)"
    )
    paths = os.pathsep.join([str(HERE), *(p or str(Path.cwd()) for p in sys.path)])
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], env=os.environ | {"PYTHONPATH": paths}, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "s.parts").glob("[0-9]*.safetensors"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    (tmp_path / "clip3").write_text("windows 2", encoding="utf-8")
    assert list(extract(media, tmp_path)["visual_steps"]) == [4, 4, 4, 2]
    assert EVERY_S >= 60, "parts are no load"


def test_a_disk_that_takes_no_part_costs_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "s.parts").write_text("a file where the folder should be", encoding="utf-8")
    Lost(monkeypatch, at=2)
    with pytest.raises(LostError):
        extract(shard(tmp_path, TEXTS), tmp_path)
    assert "finished clips are not kept" in caplog.text


@pytest.mark.parametrize("write", [0, 1])
def test_a_disk_that_is_full_at_the_end_leaves_no_half_shard(
    tmp_path: Path, write: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    media = shard(tmp_path, TEXTS)
    (tmp_path / "whole").mkdir()
    (tmp_path / "full").mkdir()
    extract(media, tmp_path / "whole")
    flushed: list[int] = []

    def fsync(handle: int) -> None:
        flushed.append(handle)
        if len(flushed) == write + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("avzsl.contracts.atomic.os.fsync", fsync)
        with pytest.raises(OSError, match="No space left"):
            extract(media, tmp_path / "full")
    left = [path.name for path in (tmp_path / "full").iterdir() if path.is_file()]
    assert left == ["s.safetensors"][:write]
    extract(media, tmp_path / "full")
    for name in ("s.safetensors", "s.parquet"):
        assert (tmp_path / "full" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
