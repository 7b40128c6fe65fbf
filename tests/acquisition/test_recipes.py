"""The YAML of docs/recipes.md, as it stands there, does what its heading says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from avzsl.config.dataset import DatasetConfig
from avzsl.config.read import read_yaml
from splits import build_split

ROOT = Path(__file__).resolve().parents[2]


def recipe(heading: str) -> dict[str, Any]:
    """Return the YAML block below a heading."""
    text = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.split(f"## {heading}\n")[1], flags=re.MULTILINE)[0]
    [block] = re.findall(r"^```yaml\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return yaml.safe_load(block)  # type: ignore[no-any-return]


def with_recipe(heading: str, name: str) -> DatasetConfig:
    """Return a shipped data set with the lines of a recipe added, as a user writes them into its YAML."""
    shipped, lines = read_yaml(ROOT / f"config/datasets/{name}.yaml"), recipe(heading)
    splits = {**shipped["splits"], **lines.pop("splits", {})}
    return DatasetConfig.model_validate({**shipped, **lines, "splits": splits})


def test_other_unseen_classes() -> None:
    split = with_recipe("Other unseen classes", "ucf").splits["mine"]
    names = ["Archery", "Bowling", *(f"class {n}" for n in range(18))]
    clips = pd.DataFrame(
        [{"clip_id": f"{n}/{k}", "class_name": n, "source_id": f"{n}{k // 2}"} for n in names for k in range(10)]
    )
    clips[["official_subset", "start_s", "end_s"]] = None
    classes = pd.DataFrame({"class_name": names, "category": None, "phrase": names, "clips": 10})
    made = build_split(clips, classes, split.model_copy(update={"avoid": ()}))
    roles = made.classes.set_index("class_name")["role"]
    assert (roles["Archery"], roles["Bowling"]) == ("test_unseen", "val_unseen")


def test_vggsound_on_disk_by_its_own_file_names(
    tmp_path: Path, fetch: Any, good_clip: Path, make_clips: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = with_recipe("Videos on disk", "vggsound")
    assert [source.kind for source in dataset.sources] == ["folder", "youtube"]
    [folder, _] = dataset.sources
    found = tmp_path / "video/part 3/---g-f_I2yQ_000001.mp4"
    found.parent.mkdir(parents=True)
    shutil.copy(good_clip, found)
    here = dataset.model_copy(update={"sources": (folder.model_copy(update={"root": str(tmp_path / "video")}),)})
    ids = {"---g-f_I2yQ": 1.0, "abcdefghijk": 30.0}
    clips = make_clips(
        [f"{i}_{start:06.0f}" for i, start in ids.items()], source_id=list(ids), start_s=list(ids.values())
    )
    clips["end_s"], clips["path"] = clips["start_s"] + 1, None
    table = fetch(clips, here)
    assert table.loc["---g-f_I2yQ_000001", "status"] == "ok"
    assert table.loc["abcdefghijk_000030", "status"] == "missing"
