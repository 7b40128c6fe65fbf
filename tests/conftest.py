"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data that stands beside a developer's checkout; never a user's."""
    folder = Path(os.environ.get("AVZSL_SHARED", ROOT.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip("the reference data (shared/ beside the checkout, or AVZSL_SHARED) is not on this machine")
    return folder
