"""Shards of several machines: what fits is copied, what does not is named and nothing is copied."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.cli import main
from avzsl.config.load import load_project
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import CLIPS, FEATURES, MEDIA
from avzsl.contracts.streams import Stream, write_streams
from avzsl.contracts.tables import write_table
from avzsl.results.gather import gather
from avzsl.results.places import Places, shard_name
from avzsl.results.project import write_project
from tests.workflow.conftest import write_config

SHARDS = 4


def machine(
    name: str, finished: tuple[int, ...], begun: tuple[int, ...] = (), windows: str = "uniform", made_by: str = "a"
) -> Path:
    """Write a results folder with shards of two clips each."""
    write_config(Path(), "datasets/d.yaml", {"catalog": {"module": "folder", "root": "v"}, "shards": SHARDS, "features": "f", "embeddings": {"table": "demo"}})  # fmt: skip
    write_config(Path(), "features/f.yaml", {"weights": {"random_seed": 0}, "windows": windows})
    write_config(Path(), "config.yaml", {"benchmarks": "d", "methods": ["avca"], "seeds": [0], "results": name})
    write_project(load_project("config/config.yaml"))
    places = Places(Path(name))
    for shard in range(SHARDS):
        number, ids = shard_name(shard), [f"{shard}-a", f"{shard}-b"]
        rows = pd.DataFrame({"clip_id": ids, "dataset": "d", "class_name": "x", "source_id": ids, "shard": shard})
        write_table(places.clips("d", number), rows, CLIPS)
        if shard in (*finished, *begun):
            media = pd.DataFrame({"clip_id": ids, "shard": shard, "status": "ok", "permanent": False, "attempts": 1})
            write_table(places.manifest("d", number), media, MEDIA)
        if shard in finished:
            values = np.full((2, 3), shard, np.float32)
            stream = Stream(values, np.arange(3), np.zeros((2, 2)))
            header = {"clip_ids": ids, "extractor": {"name": made_by}}
            write_streams(places.shard_arrays("d", "f", number), {"audio": stream, "visual": stream}, header)
            table = pd.DataFrame({"clip_id": ids, "shard": shard, "status": "ok", "row": [0, 1], "audio_steps": 1, "visual_steps": 1})  # fmt: skip
            write_table(places.shard_manifest("d", "f", number), table, FEATURES)
    return Path(name)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def features_here() -> list[str]:
    return sorted(path.stem for path in Path("results/d/features/f/shards").glob("*.safetensors"))


def test_finished_shards_come_together_and_unfinished_ones_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    one, half = machine("one", (0, 1)), machine("half", (2,), begun=(3,))
    machine("results", ())
    assert main(["gather", str(one), str(half)]) == 0
    said = capsys.readouterr().out
    assert "half: 1 shards copied, 0 were here, 1 are not finished there" in said
    assert "1 shards are missing: 0003" in said
    assert features_here() == ["0000", "0001", "0002"]
    assert not Places(Path("results")).manifest("d", "0003").exists(), "its media are elsewhere: it is fetched here"
    assert main(["gather", str(one)]) == 0
    assert "one: 0 shards copied, 2 were here" in capsys.readouterr().out


def test_a_folder_of_other_settings_is_refused_by_name_and_nothing_is_copied() -> None:
    one, half, other = machine("one", (0,)), machine("half", (1,), begun=(2,)), machine("other", (3,), windows="as_released")  # fmt: skip
    machine("results", ())
    with pytest.raises(DataError, match=r"other/project\.json: .*features/f\.yaml: windows is .*as_released"):
        gather(load_project("config/config.yaml"), [one, half, other])
    assert features_here() == []


@pytest.mark.parametrize("what", ["twice", "corrupt", "extractor", "clips", "no project", "no shards here"])
def test_what_does_not_fit_is_named(what: str) -> None:
    one = machine("one", (0, 1))
    two = machine("two", (1,) if what == "twice" else (2,), made_by="b" if what == "extractor" else "a")
    machine("results", ())
    places = Places(two)
    if what == "corrupt":
        path = places.shard_arrays("d", "f", "0002")
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    if what == "clips":
        shutil.copy(places.clips("d", "0001"), places.clips("d", "0002"))
    if what == "no project":
        places.project.unlink()
    if what == "no shards here":
        shutil.rmtree("results/d")
    words = {"twice": "is in one too", "corrupt": "checksum is wrong", "extractor": "was extracted with",
             "clips": "lists other clips", "no project": "is no results folder", "no shards here": "used.json first"}  # fmt: skip
    with pytest.raises(DataError, match=words[what]):
        gather(load_project("config/config.yaml"), [one, two])
    assert features_here() == []
