"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from avzsl.contracts import secrets

ROOT = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that run the whole workflow: processes that share the tests then end at about the same time."""
    long = {item.path for item in items if item.get_closest_marker("e2e")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget the secrets of a test with the test: `user` in an address is a word of another's message."""
    known, pattern = secrets._known, secrets._pattern
    yield
    secrets._known, secrets._pattern = known, pattern


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that stands beside a developer's checkout; never a user's."""
    folder = Path(os.environ.get("AVZSL_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip("the reference data (shared/ beside the checkout, or AVZSL_SHARED) is not on this machine")
    return folder
