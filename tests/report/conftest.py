from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from sklearn.manifold import TSNE

from tests.report.world import World, make_world


@pytest.fixture(scope="session", autouse=True)
def quick_maps() -> Iterator[None]:
    """Maps of a quarter of the steps: most of what a page costs, and no test looks at where a point comes to lie."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("avzsl.report.views.TSNE", partial(TSNE, max_iter=250))
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A finished results folder without media files; read only."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def world_with_media(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A finished results folder whose clips exist as small mp4 files; read only."""
    return make_world(tmp_path_factory.mktemp("media-world"), media=True)
