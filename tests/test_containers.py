"""Containers run as an ordinary user, with caches where any user may write."""

from __future__ import annotations

import re
from pathlib import Path

CONTAINERS = Path(__file__).resolve().parents[1] / "containers"


def test_the_image_does_not_run_as_root() -> None:
    lines = (CONTAINERS / "Dockerfile").read_text(encoding="utf-8").splitlines()
    [user] = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert user not in {"root", "0"}
    last = max(number for number, line in enumerate(lines) if line.startswith(("RUN ", "COPY ")))
    assert lines.index(f"USER {user}") > last, "what is installed belongs to root"
    settings = dict(re.findall(r"(\w+)=(\S+)", next(line for line in lines if line.startswith("ENV "))))
    assert settings["HOME"] == "/tmp" and settings["XDG_CACHE_HOME"].startswith("/tmp/")
