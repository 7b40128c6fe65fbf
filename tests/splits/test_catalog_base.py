"""What every catalogue shares."""

from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.hashing import shard_of
from avzsl.contracts.schemas import CLASSES, CLIPS
from avzsl.contracts.tables import read_table
from splits.catalogs import Catalog, build_catalog, write_catalog
from splits.catalogs.base import complete, readable_name


def dataset(**keys: object) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"catalog": {"module": "vggsound"}, "embeddings": {"table": "demo"}, "shards": 3, **keys}
    )


def tables() -> Catalog:
    clips = pd.DataFrame(
        {"clip_id": ["b", "-a", "c"], "class_name": ["TaiChi", "TaiChi", "x_y"], "source_id": ["s1", "s2", "s1"]}
    )
    return Catalog(clips, pd.DataFrame({"class_name": ["x_y", "TaiChi", "empty"], "category": None}))


def test_tables_are_completed_and_written(tmp_path):
    catalog = complete(tables(), "mine", dataset(phrases={"TaiChi": "tai chi"}))
    write_catalog(catalog, tmp_path, 3)
    clips = read_table(tmp_path / "clips.parquet", CLIPS)
    assert list(clips["clip_id"]) == ["-a", "b", "c"]
    assert list(clips["shard"]) == [shard_of(s, 3) for s in ("s2", "s1", "s1")]
    classes = read_table(tmp_path / "classes.parquet", CLASSES).set_index("class_name")
    assert dict(classes["phrase"]) == {"TaiChi": "tai chi", "empty": "empty", "x_y": "x y"}
    assert dict(classes["clips"]) == {"TaiChi": 2, "empty": 0, "x_y": 1}
    assert json.loads((tmp_path / "catalog.json").read_text())["classes_without_clips"] == ["empty"]


def test_mistakes_are_named():
    twice = tables()
    twice.clips["clip_id"] = "b"
    with pytest.raises(AvzslError, match="listed twice: 'b'"):
        complete(twice, "mine", dataset())
    unlisted = tables()
    unlisted.classes = unlisted.classes.iloc[:1]
    with pytest.raises(AvzslError, match="does not hold: 'TaiChi'"):
        complete(unlisted, "mine", dataset())
    with pytest.raises(ConfigError, match="no class 'Tai'"):
        complete(tables(), "mine", dataset(phrases={"Tai": "tai"}))


def test_only_catalogues_are_catalogues(tmp_path):
    with pytest.raises(ConfigError, match=r"datasets/mine.yaml: catalog.module: there is no catalogue module 'base'"):
        build_catalog("mine", dataset(catalog={"module": "base"}), tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "Apply Eye Makeup"),
        ("tai_chi", "tai chi"),
        ("BMX", "BMX"),
        ("jump rope", "jump rope"),
        ("_", "_"),
    ],
)
def test_names_become_words(name, words):
    assert readable_name(name) == words


def test_importing_is_cheap():
    code = (
        "import sys; from avzsl.config.load import load_project; from avzsl.cli.check import check_project;"
        "check_project(load_project(values={'benchmarks': ['ucf', 'vggsound', 'activitynet', 'audioset-zsl']})); bad = {'pandas', 'pyarrow', 'torch'} & set(sys.modules); assert not bad, bad;"
        "import splits.build, splits.labels; splits.labels.load_labels('kinetics400', {});"
        # No installed scikit-learn has a say in a split.
        "import splits.audit; assert not {'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
