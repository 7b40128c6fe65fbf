from pathlib import Path

import pytest
import yaml

from avzsl.config.dataset import DatasetConfig
from avzsl.config.demo import WorldConfig
from avzsl.config.load import SHIPPED
from avzsl.contracts.errors import DataError
from avzsl.demo import demo_classes, render_world
from avzsl.embeddings import embed_classes
from splits.catalogs import build_catalog

TINY = WorldConfig(pictures=4, sounds=2, clips=2, width=64, height=48)


def dataset(root: Path, world: WorldConfig) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {"catalog": {"module": "demo", "root": str(root), "world": world.model_dump()}, "embeddings": {"table": "demo"}}
    )


def test_the_catalogue_is_the_rendered_world(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not rendered"):
        build_catalog("demo", dataset(tmp_path, TINY), tmp_path)
    render_world(tmp_path, TINY)
    found = build_catalog("demo", dataset(tmp_path, TINY), tmp_path)
    assert len(found.clips) == 16 and len(found.classes) == 8
    assert set(found.classes["clips"]) == {2}
    assert all((tmp_path / path).is_file() for path in found.clips["path"])
    assert list(found.classes["phrase"]) == list(found.classes["class_name"])
    assert embed_classes(found.classes, dataset(tmp_path, TINY).embeddings).vectors.shape == (8, 50)
    with pytest.raises(DataError, match="other sizes"):
        build_catalog("demo", dataset(tmp_path, TINY.model_copy(update={"clips": 3})), tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(DataError, match="not readable JSON"):
        build_catalog("demo", dataset(tmp_path, TINY), tmp_path)


def test_the_shipped_demo_forces_the_roles_that_its_classes_have() -> None:
    shipped = DatasetConfig.model_validate(yaml.safe_load((SHIPPED / "datasets/demo.yaml").read_text(encoding="utf-8")))
    world = WorldConfig.model_validate(shipped.catalog.options["world"])
    unseen = {c.name: c.role for c in demo_classes(world) if c.role != "train"}
    assert shipped.splits["default"].force == unseen
    assert [source.root for source in shipped.sources] == [shipped.catalog.options["root"]]
