"""A data set (config/datasets/NAME.yaml)."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from avzsl.config.base import Name, Section
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.methods import Overrides
from avzsl.config.sources import FolderSource, MediaConfig, Source
from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError


class CatalogConfig(Section):
    """A module of `splits.catalogs`; the further keys are its options, checked by its `Options` model."""

    model_config = ConfigDict(extra="allow", frozen=True)
    module: str

    @property
    def options(self) -> dict[str, object]:
        return dict(self.model_extra or {})


class DatasetConfig(Section):
    """Everything that is particular to one data set."""

    title: str = ""
    licence: str = ""
    catalog: CatalogConfig
    sources: tuple[Source, ...] = Field((), description="where the media are, in order; a folder catalogue needs none")
    media: MediaConfig = MediaConfig()
    shards: int = Field(
        1, gt=0, le=20_000, description="number of parts the clips are processed in; about 256 clips a shard"
    )
    features: str = Field("selavi", description="feature set: a file of config/features")
    embeddings: EmbeddingsConfig
    phrases: dict[str, str] = Field(
        default_factory=dict, description="class name -> words to embed, where the name itself does not read well"
    )
    splits: dict[Name, SplitConfig] = Field(default_factory=lambda: {"default": SplitConfig()})
    methods: Overrides = Field(default_factory=Overrides, description="changes to every method on this data set")


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
