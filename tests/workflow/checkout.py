"""A copy of the checkout in which a user's commands run as they stand."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from tests.workflow.conftest import ROOT

_MADE = ("results", "data", "logs", "site", "build", "dist", "tests")


def _left_behind(folder: str, names: list[str]) -> set[str]:
    made = _MADE if Path(folder) == ROOT else ()
    return {name for name in names if name in made or name == "__pycache__" or name.startswith(".")}


def copy_checkout(folder: Path) -> Path:
    """Copy what a clone has besides tests into `folder`, with this interpreter's environment as its .venv."""
    shutil.copytree(ROOT, folder, ignore=_left_behind, dirs_exist_ok=True)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def checkout_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a shell in which the copy's .venv is activated."""
    values = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200", "VIRTUAL_ENV": str(folder / ".venv")}
    return values | {"PATH": f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"}
