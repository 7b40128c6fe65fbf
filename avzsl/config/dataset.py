"""A data set (config/datasets/NAME.yaml)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from avzsl.config.base import Name, Part, PartName, Section, Several
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.methods import Overrides
from avzsl.config.sources import FolderSource, MediaConfig, Source
from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError


class CatalogConfig(Part):
    """Who lists the clips; the further keys are its options, checked by its `Options` model."""

    module: PartName = Field(
        description="a module of `splits.catalogs`, an entry point of the group avzsl.catalogs, or package.module"
    )


class DatasetConfig(Section):
    """Everything that is particular to one data set."""

    title: str = Field("", description="what the page calls it")
    licence: str = Field("", description="shown on the page and in its metadata")
    catalog: CatalogConfig = Field(description="who lists the clips")
    sources: Several[Source] = Field((), description="where the media are, in order; a folder catalogue needs none")
    media: MediaConfig = Field(MediaConfig(), description="how media are fetched and kept")
    shards: int = Field(
        1, gt=0, le=20_000, description="number of parts the clips are processed in; about 256 clips a shard"
    )
    features: Name = Field(
        "selavi", description="feature set: a file of config/features; default of a folder of videos: pretrained"
    )
    embeddings: EmbeddingsConfig = Field(
        EmbeddingsConfig(),
        description="how class names become vectors; default of a folder of videos: {backend: sentences}",
    )
    phrases: dict[str, str] = Field(
        {}, description="class name -> words to embed, where the name itself does not read well"
    )
    splits: dict[Name, SplitConfig] = Field(
        default_factory=lambda: {"default": SplitConfig()},
        min_length=1,
        description="splits by name; the first is the default",
    )
    multilabel: str | None = Field(
        None,
        description="all labels of VGGSound's test clips, for a score beside the plain one: vggsounder (the package's table, where it is installed) or a CSV like it",
    )
    methods: Overrides = Field(Overrides(), description="changes to every method on this data set")

    @model_validator(mode="before")
    @classmethod
    def _own_videos(cls, values: Any) -> Any:
        """Give a folder of videos networks and words that need no download: those of the extra [pretrained]."""
        catalog = values.get("catalog") if isinstance(values, dict) else None
        if isinstance(catalog, dict) and catalog.get("module") == "folder":
            return {"features": "pretrained", "embeddings": {"backend": "sentences"}, **values}
        return values

    @field_validator("splits", mode="after")
    @classmethod
    def _folds(cls, splits: dict[str, SplitConfig]) -> dict[str, SplitConfig]:
        """Put `folds-1`, `folds-2` ... in the place of a split `folds` that is to be drawn several times."""
        found: dict[str, SplitConfig] = {}
        for name, split in splits.items():
            drawn = split.drawn() if split.fold is None else []
            found |= {f"{name}-{part.fold}": part for part in drawn} if drawn else {name: split}
        return found

    def folds_of(self, split: str) -> list[str]:
        """Return the names of the class splits that a split with `folds` stands for; none if it is not one."""
        return [name for name, part in self.splits.items() if part.fold and name == f"{split}-{part.fold}"]


def source_configs(dataset_name: str, dataset: DatasetConfig) -> list[Source]:
    """Return the configured sources; a folder catalogue is its own source when it names none.

    Raises ConfigError if there is no source.
    """
    if dataset.sources:
        return list(dataset.sources)
    root = dataset.catalog.options.get("root")
    if dataset.catalog.module == "folder" and isinstance(root, str):
        return [FolderSource(kind="folder", root=root)]
    raise ConfigError(
        f"datasets/{dataset_name}.yaml: sources: none is given, so no clip can be fetched; see docs/getting-the-videos.md"
    )
