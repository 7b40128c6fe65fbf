"""A clock that goes back by a day leaves no file in the future, and the order as it was."""

from __future__ import annotations

import os
import time
from pathlib import Path

from avzsl.runtime.clock import ahead, settle_times

DAY = 86_400


def test_files_from_the_future_come_back_in_their_order(tmp_path: Path) -> None:
    now = time.time()
    moments = {"old": now - DAY, "recent": now - 5, "first": now + DAY - 60, "second": now + DAY, "beside": now + DAY}
    for name, moment in moments.items():
        (tmp_path / name).write_text(name, encoding="utf-8")
        os.utime(tmp_path / name, (moment, moment))
    assert ahead([tmp_path / "old", tmp_path / "second"]) and not ahead([tmp_path / "recent", tmp_path / "none"])
    assert settle_times(tmp_path) == 3
    time_of = {name: (tmp_path / name).stat().st_mtime for name in moments}
    assert time_of["old"] == now - DAY
    assert time_of["recent"] < time_of["first"] < min(time_of["second"], time_of["beside"])
    assert max(time_of.values()) <= time.time()
    assert settle_times(tmp_path) == 0
