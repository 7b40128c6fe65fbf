"""The documents build as a site without a warning, ask nobody for anything, and a link that leads nowhere fails."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("furo", reason="the extra [docs] is not installed")
pytest.importorskip("myst_parser", reason="the extra [docs] is not installed")

ROOT = Path(__file__).resolve().parents[1]


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run what `make docs` runs."""
    [line] = re.findall(r"sphinx-build (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    command = [sys.executable, "-m", "sphinx", *line.split()]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of what the site is made of, with the site."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("docs", "config", "leaderboard"):
        shutil.copytree(ROOT / name, folder / name)
    for page in ROOT.glob("*.md"):
        shutil.copy(page, folder)
    built = build(folder)
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


def test_every_document_is_a_page_of_the_menu(checkout: Path) -> None:
    front = (checkout / "site/index.html").read_text(encoding="utf-8")
    pages = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        ROOT / "config/README.md",
        ROOT / "leaderboard/README.md",
    ]
    for page in pages:
        html = page.relative_to(ROOT).with_suffix(".html")
        assert (checkout / "site" / html).is_file()
        assert page.name == "README.md" or f'href="{html}"' in front, f"{page.name} is in no menu of docs/conf.py"


def test_a_page_asks_the_network_for_nothing(checkout: Path) -> None:
    for page in (checkout / "site").rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"|<link[^>]* href="([^"]+)"', text)
        assert not [address for pair in fetched for address in pair if "//" in address], page.name


@pytest.mark.parametrize("link", ["no-such-page.md", "splits.md#no-such-heading"])
def test_a_link_that_leads_nowhere_fails(checkout: Path, link: str) -> None:
    page = checkout / "docs/recipes.md"
    before = page.read_text(encoding="utf-8")
    page.write_text(f"{before}\n[there]({link})\n", encoding="utf-8")
    built = build(checkout)
    page.write_text(before, encoding="utf-8")
    assert built.returncode != 0 and link.partition("#")[2 * ("#" in link)] in built.stderr
