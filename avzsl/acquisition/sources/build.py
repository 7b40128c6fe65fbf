"""Make the sources of a data set from its configuration."""

from __future__ import annotations

import threading
from pathlib import Path

from avzsl.acquisition.sources.archive import Archive
from avzsl.acquisition.sources.base import Source
from avzsl.acquisition.sources.folder import Folder
from avzsl.acquisition.sources.http import Http
from avzsl.acquisition.sources.youtube import Youtube
from avzsl.config.dataset import DatasetConfig, source_configs
from avzsl.config.sources import ArchiveSource, FolderSource, HttpSource
from avzsl.config.sources import Source as SourceConfig
from avzsl.contracts.errors import ConfigError


def build_sources(
    dataset_name: str, dataset: DatasetConfig, state: Path, cache: Path, stop: threading.Event
) -> list[Source]:
    """Return the sources of a data set in the order they are asked.

    `state` holds the shared pace, `cache` what is unpacked once for all shards; `stop` ends every waiting.
    Raises ConfigError if there is no source, or if two have the same name.
    """
    sources = [_build(config, state, cache, stop) for config in source_configs(dataset_name, dataset)]
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"datasets/{dataset_name}.yaml: sources: two are called {name!r}; give one a `name`")
    return sources


def _build(config: SourceConfig, state: Path, cache: Path, stop: threading.Event) -> Source:
    if isinstance(config, FolderSource):
        return Folder(config)
    if isinstance(config, ArchiveSource):
        return Archive(config, state, cache, stop)
    if isinstance(config, HttpSource):
        return Http(config, state, stop)
    return Youtube(config, state, stop)
