"""Previews open files as everything else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from avzsl.report.previews import make_preview
from tests.media.files import turned, write


def test_a_preview_is_upright(tmp_path: Path) -> None:
    path = turned(write(tmp_path / "c.mp4", seconds=1), tmp_path / "turned.mp4", (0, 1, -1, 0))
    (tmp_path / "c.jpg").write_bytes(make_preview(path).picture or b"")
    width, height = Image.open(tmp_path / "c.jpg").size
    assert height > width


def test_a_playlist_has_no_preview(tmp_path: Path) -> None:
    write(tmp_path / "real.mp4", seconds=1)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile real.mp4\n")
    with pytest.raises(ValueError, match="not a readable media file"):
        make_preview(tmp_path / "list.mp4")
