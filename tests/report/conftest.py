from __future__ import annotations

import pytest

from tests.report.world import World, make_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A finished results folder without media files; read only."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def world_with_media(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A finished results folder whose clips exist as small mp4 files; read only."""
    return make_world(tmp_path_factory.mktemp("media-world"), media=True)
