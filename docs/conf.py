"""Sphinx: the documents as a site (`make docs`). The repository is its source folder, so that a link leads to the same page in both."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

project = "avzsl"
html_title = project
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
highlight_language = "text"
extensions = ["myst_parser"]
myst_heading_anchors = 4
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "config/README.md", "leaderboard/README.md"]
# What Sphinx would walk through in vain, an environment of a hundred thousand files among it.
exclude_patterns = [p.name for p in ROOT.iterdir() if p.is_dir() and p.name not in ("docs", "config", "leaderboard")]

MENU = {
    "Use": [
        "docs/recipes", "docs/own-videos", "docs/own-features", "docs/released-features", "docs/image-benchmarks",
        "docs/getting-the-videos", "docs/splits", "docs/report", "leaderboard/README", "config/README",
    ],
    "Large machines": ["docs/cluster", "docs/gpu", "docs/scale", "docs/speed"],
    "Fidelity": [
        "docs/fidelity", "docs/fidelity-features", "docs/fidelity-splits", "docs/fidelity-methods", "docs/fidelity-baselines",
    ],
    "Extend": [
        "docs/architecture", "docs/add-a-catalogue", "docs/add-an-extractor", "docs/add-a-method", "CONTRIBUTING", "CHANGELOG",
    ],
}  # fmt: skip


def add_menu(app: Any, name: str, source: list[str]) -> None:
    """Put the menu behind the front page, where a forge's reader does not need it."""
    if name == root_doc:
        for title, pages in MENU.items():
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n" + "\n".join(pages) + "\n```\n"


def add_front(app: Any, error: Exception | None) -> None:
    """Give the front page the name by which servers look for it."""
    if error is None:
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Any) -> None:
    """Connect the two."""
    app.connect("source-read", add_menu)
    app.connect("build-finished", add_front)
