"""Still pictures and silent clips that are used are counted with their rows, whichever stage decoded them."""

from __future__ import annotations

import pandas as pd

from avzsl.benchmark.oddities import odd_checks, open_checks
from avzsl.media.findings import Findings, joined

SILENT = joined(Findings(sound_s=5.0, moved=True, frames=10).notes())
BOTH = joined(Findings(sound_s=5.0, frames=10).notes())


def clips(number: int) -> pd.DataFrame:
    names = [f"c{i}" for i in range(number)]
    return pd.DataFrame({"clip_id": names, "subset": "test_seen", "usable": True})


def manifest(reasons: list[str | None], frames: list[float | None]) -> pd.DataFrame:
    names = [f"c{i}" for i in range(len(reasons))]
    return pd.DataFrame({"clip_id": names, "reason": reasons, "frames": frames})


def media(notes: list[str | None], lost: list[float | None]) -> pd.DataFrame:
    names = [f"c{i}" for i in range(len(notes))]
    return pd.DataFrame({"clip_id": names, "note": notes, "lost_frames": lost}).set_index("clip_id")


def counted(checks: list[dict]) -> dict[str, tuple[int | None, int]]:
    return {check["name"]: (check["count"], check["total"]) for check in checks}


def test_notes_of_either_stage_count_once() -> None:
    found = odd_checks(
        clips(4).assign(usable=[True, True, True, False]),
        manifest([BOTH, f"only 3.0 of the stated 5.0 s could be read; {SILENT}", None, BOTH], [10, 10, None, 10]),
        media([BOTH, None, SILENT, BOTH], [0, None, 0, 0]),
    )
    assert counted(found) == {"still_pictures": (1, 3), "silent_clips": (3, 3)}
    assert found[0]["examples"] == ["c0 (test_seen)"]
    assert found[1]["examples"] == [f"c{i} (test_seen)" for i in range(3)]
    assert all(check["passed"] for check in found)


def test_holes_are_no_silence() -> None:
    hole = joined(Findings(frames=10, sound_s=5.0, heard=True, moved=True, silence_s=2.0, frozen_s=2.0).notes())
    assert counted(odd_checks(clips(1), manifest([hole], [10]), None)) == {
        "still_pictures": (0, 1),
        "silent_clips": (0, 1),
    }


def test_pictures_alone_have_no_sound_to_be_silent() -> None:
    [only] = odd_checks(clips(1), manifest([None], [10]), None, ("visual",))
    assert only["name"] == "still_pictures"


def test_what_nobody_decoded_is_not_called_clean() -> None:
    found = odd_checks(clips(2), manifest([None, None], [None, None]), None)
    assert counted(found) == {"still_pictures": (None, 2), "silent_clips": (None, 2)}
    assert found[0]["note"].startswith("not checked")
    partly = odd_checks(clips(2), manifest([BOTH, None], [10, None]), None)
    assert (partly[0]["count"], partly[0]["total"], partly[0]["note"]) == (1, 1, "1 more were not decoded here")


def test_the_audit_says_what_the_networks_know() -> None:
    named = {"audioset": {"dog": ["Dog", "Bark"], "cat": ["Cat"], "car": ["Car"]}, "imagenet1k": {}}
    audio, pictures = open_checks(["audioset", "imagenet1k"], named, {"dog", "car", "rain"})
    assert (audio["count"], audio["total"], audio["examples"]) == (2, 3, ["car: Car", "dog: Dog, Bark"])
    assert "AudioSet" in audio["title"] and not audio["note"]
    assert pictures["count"] == 0
    [captions] = open_checks(["web_captions"], None, {"dog"})
    assert captions["count"] is None and captions["note"] == "backbone not disjoint, unknowable"
    [uncompared] = open_checks(["audioset"], None, {"dog"})
    assert uncompared["count"] is None and "nobody has compared" in uncompared["note"]
    assert open_checks([], None, {"dog"}) == []
