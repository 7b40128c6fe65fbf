"""The demo world, as its index lists it; `avzsl.demo.render_world` draws the clips."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from avzsl.config.base import Section, expand
from avzsl.config.dataset import DatasetConfig
from avzsl.config.demo import WorldConfig
from avzsl.contracts.errors import CorruptError, DataError
from avzsl.contracts.records import read_record
from avzsl.demo.classes import demo_classes
from splits.catalogs.base import Catalog


class Options(Section):
    """Keys of `catalog:` for the demo world."""

    root: str = Field("data/demo/world", description="the folder that the world is rendered into")
    world: WorldConfig = Field(WorldConfig(), description="how many classes and clips, and how large")


def class_names(options: Options) -> list[str]:
    """Return the classes of the world, rendered or not."""
    return [kind.name for kind in demo_classes(options.world)]


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """List the clips of the world below `options.root` from its index, without opening one of them.

    Raises DataError if the world is not rendered, not whole, or rendered with other sizes.
    """
    import pandas as pd

    path = expand(options.root) / "index.json"
    if not path.is_file():
        raise DataError(path, "the demo world is not rendered here; `snakemake splits` renders it first")
    try:
        index = read_record(path)
        sizes, listed, kinds = index["world"], index["clips"], index["classes"]
    except (KeyError, TypeError) as error:
        raise CorruptError(path, f"is not the index of a demo world ({error}); delete it and run again") from error
    if sizes != options.world.model_dump():
        raise CorruptError(
            path, "the demo world was rendered with other sizes than `catalog.world`; delete it and run again"
        )
    motions = {kind["class_name"]: kind["motion"] for kind in kinds}
    clips = pd.DataFrame(
        {
            "clip_id": [clip["path"].removesuffix(".mp4") for clip in listed],
            "class_name": [clip["class_name"] for clip in listed],
            "source_id": [clip["path"] for clip in listed],
            "path": [clip["path"] for clip in listed],
            "category": [motions[clip["class_name"]] for clip in listed],
            "licence": "generated",
        }
    )
    classes = pd.DataFrame(
        {"class_name": [kind["class_name"] for kind in kinds], "category": [kind["motion"] for kind in kinds]}
    )
    return Catalog(clips, classes, [f"a procedural world rendered with seed {options.world.seed}"])
