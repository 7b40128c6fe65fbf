"""The lock files follow pyproject.toml, and every package in them is held by hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {
    "requirements.lock": PROJECT["dependencies"],
    "requirements-dev.lock": PROJECT["dependencies"]
    + [pin for extra in ("dev", "docs", "clip", "glove", "openvino", "pretrained") for pin in EXTRAS[extra]],
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(text: str) -> list[str]:
    """Return the entries of a lock file, each with its hashes, on one line."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_holds_the_pins_of_pyproject(name: str) -> None:
    held = {}
    for entry in entries((ROOT / name).read_text(encoding="utf-8")):
        package, version = entry.split()[0].split("==")
        held.setdefault(normal(package), set()).add(version)
    for pin in LOCKS[name]:
        package, version = re.sub(r"\[.*?\]", "", pin).split("==")
        assert held.get(normal(package)) == {version}, f"{pin} is not in {name}: run `make lock`"


@pytest.mark.parametrize("name", LOCKS)
def test_everything_in_the_lock_has_a_version_and_a_hash(name: str) -> None:
    for entry in entries((ROOT / name).read_text(encoding="utf-8")):
        assert re.match(r"^[A-Za-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry), entry[:100]


def test_make_installs_from_the_locks() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in LOCKS:
        assert f"--require-hashes --requirement {name}" in makefile
