"""Small things a user stumbles over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avzsl.cli.attrition import printable
from avzsl.config import shipped
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError
from splits.catalogs import build_catalog
from splits.catalogs.audioset import ROW


def dataset(**catalog: object) -> DatasetConfig:
    return DatasetConfig.model_validate({"catalog": catalog, "embeddings": {"table": "demo"}})


def test_a_list_that_a_spreadsheet_saved_again_is_read(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("youtube_id,start,label,split\nabcdefghij-,30.0,dog barking,train\n")
    (tmp_path / "s.csv").write_text("dog barking,1,animals\n")
    options = {"clips": str(tmp_path / "v.csv"), "categories": str(tmp_path / "s.csv")}
    catalog = build_catalog("v", dataset(module="vggsound", **options), tmp_path)
    assert catalog.clips["clip_id"].tolist() == ["abcdefghij-_000030"]


@pytest.mark.parametrize(
    "row", ['--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_"', '--4gqARaEJE,0,10,"/m/068hy,/m/07q6cd_"']
)
def test_segments_with_and_without_blanks(row: str) -> None:
    found = ROW.fullmatch(row)
    assert found is not None and float(found[3]) == 10 and found[4] == "/m/068hy,/m/07q6cd_"


def test_a_segment_that_ends_before_it_starts_is_an_annotation_error(tmp_path: Path) -> None:
    content = {
        "version": "VERSION 1.3",
        "database": {
            "abcdefghij-": {"subset": "training", "annotations": [{"label": "Ballet", "segment": [9.0, 2.0]}]}
        },
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    catalog = build_catalog("a", dataset(module="activitynet", annotations=str(tmp_path / "a.json")), tmp_path)
    assert any("an error of the annotations: abcdefghij-_0" in note for note in catalog.notes)


def test_braces_in_a_path_get_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "a{y}b"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(AvzslError, match="as wildcards; move the folder"):
        shipped.check_neighbours()


def test_control_characters_stay_out_of_the_terminal() -> None:
    assert printable("a\x1b[31mb\x07") == "a\ufffd[31mb\ufffd"
