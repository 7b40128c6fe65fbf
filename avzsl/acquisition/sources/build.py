"""Make the sources of a data set from its configuration."""

from __future__ import annotations

from avzsl.acquisition.sources.base import Source
from avzsl.acquisition.sources.folder import Folder
from avzsl.config.dataset import DatasetConfig
from avzsl.config.sources import FolderSource
from avzsl.config.sources import Source as SourceConfig
from avzsl.contracts.errors import ConfigError


def build_sources(dataset_name: str, dataset: DatasetConfig) -> list[Source]:
    """Return the sources of a data set in the order they are asked.

    Raises ConfigError if there is none, or if two have the same name.
    """
    sources = [_build(config) for config in source_configs(dataset_name, dataset)]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"datasets/{dataset_name}.yaml: sources: two are called {name!r}; give one a `name`")
    return sources


def source_configs(dataset_name: str, dataset: DatasetConfig) -> list[SourceConfig]:
    """Return the configured sources; a folder catalogue is its own source when it names none."""
    if dataset.sources:
        return list(dataset.sources)
    root = dataset.catalog.options.get("root")
    if dataset.catalog.module == "folder" and isinstance(root, str):
        return [FolderSource(kind="folder", root=root)]
    raise ConfigError(
        f"datasets/{dataset_name}.yaml: sources: none is given, so no clip can be fetched; see docs/getting-the-videos.md"
    )


def _build(config: SourceConfig) -> Source:
    return Folder(config)
