"""Where a cut says that a clip is short, damaged or without a stream: the limits themselves, in this process."""

from __future__ import annotations

import errno
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avzsl.acquisition import cut as module
from avzsl.acquisition.cut import _covering, _short, cut
from avzsl.acquisition.encode import GRACE_S
from avzsl.media.clock import Joins
from avzsl.media.errors import MediaError
from avzsl.media.findings import Findings
from tests.acquisition.test_offsets import flashes_with_clicks, moments


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("limits") / "v.mkv"
    flashes_with_clicks(path, sound_at=0.0, picture_at=0.0)  # 4 s
    return path


def part(source: Path, out: Path, **seconds: float) -> Path:
    """Copy the first `video` and `audio` seconds of a file; 0: not that stream."""
    with av.open(str(source)) as read, av.open(str(out), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in read.streams if seconds.get(s.type, 4.0)}
        for packet in read.demux():
            if packet.dts is not None and packet.pts * packet.time_base < seconds.get(packet.stream.type, 4.0) - 1e-3:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    return out


def made(source: Path, out: Path, start: float | None, end: float | None, tolerance: float = 0.1, **keys: Any) -> Any:
    return cut([str(source)], str(out), start, end, 30, tolerance, **keys)


def test_a_clip_without_loss_passes_where_no_loss_is_allowed(source, tmp_path) -> None:
    found = made(source, tmp_path / "o.mp4", 1.0, 3.0, max_lost_share=0.0)
    assert found == {"status": "ok", "start_error_s": 0.0, "note": None, "lost_frames": 0, "lost_sound_s": 0.0}


@pytest.mark.parametrize(("allowed", "status"), [(0.3, "corrupt"), (0.36, "ok")])
def test_lost_sound_is_a_share_of_the_segments(source, tmp_path, monkeypatch, allowed, status) -> None:
    """One second lost beside two that are there."""
    read = module.decode_audio_on_time

    def losing(*given: Any, findings: Findings, **keys: Any):
        for number, item in enumerate(read(*given, findings=findings, **keys)):
            if item[0] > 1.5 and findings.lost_sound_s == 0.0:
                findings.lost_sound_s = 1.0004
            yield item
            if number == 0 and item[0] < 0.9:
                findings.lost_sound_s += 5.0  # before the segment: not the clip's

    monkeypatch.setattr(module, "decode_audio_on_time", losing)
    found = made(source, tmp_path / "o.mp4", 1.0, 3.0, max_lost_share=allowed)
    assert (found["status"], found["lost_sound_s"], found["lost_frames"]) == (status, 1.0, 0)
    if status == "corrupt":
        assert "1.00 s of 3.0" in found["error"] and "max_lost_share allows 0.3" in found["error"]
    else:
        assert "(33 %)" in found["note"]


@pytest.mark.parametrize(
    ("start", "end", "tolerance", "status"),
    [
        (2.0, 4.0, 0.0, "ok"), (2.0, 4.5, 0.6, "ok"), (2.0, 4.5, 0.4, "shorter_than_segment"), (None, None, 0.0, "ok"), (2.0, None, 0.0, "ok"),
        (5.0, 6.0, 9.0, "shorter_than_segment"), (5.0, None, 0.1, "shorter_than_segment"),
    ],
)  # fmt: skip
def test_how_much_may_be_missing(source, tmp_path, start, end, tolerance, status) -> None:
    found = made(source, tmp_path / "o.mp4", start, end, tolerance)
    assert found["status"] == status
    if status != "ok":
        expected = max(0.0, 4.0 - (start or 0.0))
        length = "" if end is None else f" of {end - start:.2f} s"
        assert f"ends {expected:.2f} s into the segment{length}" in found["error"]


def test_what_a_short_clip_is_called() -> None:
    full, nothing = Findings(frames=9), Findings()
    assert _short(1.5, 2.0, 5.0, "sound", full) == {
        "status": "shorter_than_segment", "error": "the sound ends 1.50 s into the segment of 3.00 s",
    }  # fmt: skip
    assert _short(-0.5, 2.0, None, "picture", Findings(sound_s=1.0)) == {
        "status": "shorter_than_segment", "error": "the picture ends 0.00 s into the segment",
    }  # fmt: skip
    assert _short(0.0, 2.0, 5.0, "sound", nothing) == {"status": "corrupt", "error": "no sound can be decoded"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MediaError("too_large", "x"), "too_large"), (MediaError("no_video_stream", "x"), "no_video_stream"),
        (MediaError("no_audio_stream", "x"), "no_audio_stream"), (MediaError("strange", "x"), "corrupt"),
        (OSError(errno.ENOSPC, "full"), "disk"), (OSError(errno.EDQUOT, "full"), "disk"), (OSError(errno.EIO, "bad"), "corrupt"),
        (ValueError("bad"), "corrupt"), (MemoryError(), "corrupt"),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_its_status(monkeypatch, error, status) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(module, "_cut", fail)
    found = cut(["v"], "o", None, None, 18, 0.1)
    assert found["status"] == status
    if status == "disk":
        assert found["errno"] == error.errno
    else:
        assert found["error"]


class Container:
    def __init__(self, fails: bool = False, start: float = 0.0) -> None:
        self.start_time, self.asked, self.fails = round(start * av.time_base), [], fails

    def seek(self, at: int) -> None:
        self.asked.append(round(at / av.time_base, 6))
        if self.fails:
            raise OSError("no seeking")


def read_from(container: Container, joins: Joins, start: float, first: float | None, monkeypatch) -> tuple[Any, list]:
    """Return the first item that covers `start`, and for each opening its number and whether it was sought."""
    given: list[tuple[float, bool]] = []
    monkeypatch.setattr(module, "open_container", lambda path: nullcontext(container))

    def read(c: Any, zero: float, sought: bool):
        given.append((zero, sought))
        return iter([] if first is None else [first if sought else 0.0, "next"])

    with ExitStack() as stack:
        return next(_covering(stack, "v", None, joins, start, read, float), None), given


def test_where_decoding_begins(monkeypatch) -> None:
    # A target within the first second is sought as well, and what begins late there is no beginning.
    early = Container()
    assert read_from(early, Joins(), 1.0, 1.0, monkeypatch) == (1.0, [(0.0, True)]) and early.asked == [0.75]
    assert read_from(Container(), Joins(), 1.0, 1.1, monkeypatch) == (0.0, [(0.0, True), (0.0, False)])
    plain = Container()
    assert read_from(plain, Joins(), 100.0, 100.0 + GRACE_S, monkeypatch) == (100.0 + GRACE_S, [(0.0, True)])
    assert plain.asked == [99.75]
    # What begins too late everywhere is read from its beginning at last.
    late = Container()
    assert read_from(late, Joins(), 100.0, 100.1, monkeypatch) == (0.0, [(0.0, True)] * 3 + [(0.0, False)])
    assert late.asked == [99.75, 87.75, 39.75]
    # Near the beginning there is nothing to seek, and no second try.
    near = Container()
    assert read_from(near, Joins(), 0.25, 0.0, monkeypatch) == (0.0, [(0.0, False)]) and near.asked == []
    assert read_from(Container(), Joins(), 0.25, None, monkeypatch) == (None, [(0.0, False)])
    # A container that counts from elsewhere is asked by its own clock; one that cannot seek is read from its beginning.
    broadcast = Container(start=50.0)
    assert read_from(broadcast, Joins(), 100.0, 100.0, monkeypatch) == (100.0, [(50.0, True)])
    assert broadcast.asked == [149.75]
    assert read_from(Container(fails=True), Joins(), 100.0, 100.0, monkeypatch) == (0.0, [(0.0, False)])
    # Joined recordings have clocks of their own.
    assert read_from(Container(), Joins(shifts=(0.0, 4.0)), 100.0, 0.0, monkeypatch) == (0.0, [(0.0, False)])


def test_a_segment_counts_from_where_the_container_begins(tmp_path) -> None:
    """A recording that begins at its clock's second 1: flashes and clicks of seconds 2 and 3 are at 1 and 2."""
    path, out = tmp_path / "late.mkv", tmp_path / "o.mp4"
    flashes_with_clicks(path, sound_at=1.0, picture_at=1.0)
    assert made(path, out, 0.6, 2.6)["status"] == "ok"
    light, loud = moments(out)
    assert light == pytest.approx([0.4, 1.4], abs=0.03) and loud == pytest.approx([0.4, 1.4], abs=0.005)


def test_picture_of_the_first_file_and_sound_of_the_last(tmp_path, source) -> None:
    """Two files with both streams each: as a site serves a small picture with sound, and better sound beside."""
    other = tmp_path / "late.mkv"
    flashes_with_clicks(other, sound_at=0.0, picture_at=0.0)
    out = tmp_path / "o.mp4"
    opened: list[tuple[int, str]] = []
    assert cut([str(source), str(other)], str(out), 0.5, 2.5, 30, 0.1)["status"] == "ok", opened
    with av.open(str(out)) as clip:
        loud = np.concatenate([f.to_ndarray()[0] for f in clip.decode(audio=0)])
    assert np.abs(loud).max() > 0.25


@pytest.mark.parametrize(("start", "end", "error"), [(1.0, 3.0, 0.0), (1.02, 3.02, 0.0), (0.0, 2.0, 0.0)])
def test_the_frames_of_a_segment_are_counted(source, tmp_path, start, end, error) -> None:
    """The frame that ends where the segment begins is not the segment's; the frame on show there is, from its start on."""
    out = tmp_path / "o.mp4"
    assert made(source, out, start, end)["start_error_s"] == error
    with av.open(str(out)) as clip:
        frames = [frame.time for frame in clip.decode(video=0)]
    between = start != 1.02
    expected = [k / 25 for k in range(50)] if between else [0.0, *(k / 25 - 0.02 for k in range(1, 51))]
    assert frames == pytest.approx(expected, abs=2e-3)


def test_a_picture_that_begins_later_says_how_much(tmp_path) -> None:
    path = tmp_path / "late.mkv"
    flashes_with_clicks(path, sound_at=0.0, picture_at=0.2)
    assert made(path, tmp_path / "o.mp4", 0.08, 2.0)["start_error_s"] == pytest.approx(0.12, abs=1e-3)


@pytest.mark.parametrize(
    ("seconds", "start", "end", "said"),
    [
        ({"video": 2.0}, 1.0, 3.0, "the picture ends 1.00 s into the segment of 2.00 s"),
        ({"audio": 2.016}, 1.016, 3.016, "the sound ends 1.00 s into the segment of 2.00 s"),
        ({"video": 2.0}, 3.0, 3.5, "the picture ends 0.00 s into the segment of 0.50 s"),
        ({"audio": 2.016}, 3.0, None, "the sound ends 0.00 s into the segment"),
        ({}, 3.5, None, None), ({"video": 2.0}, 1.0, None, None),
    ],
)  # fmt: skip
def test_the_stream_that_ends_first_is_named(source, tmp_path, seconds, start, end, said) -> None:
    found = made(part(source, tmp_path / "v.mkv", **seconds), tmp_path / "o.mp4", start, end)
    if said is None:
        assert found["status"] == "ok"
    else:
        assert (found["status"], found["error"]) == ("shorter_than_segment", said)


@pytest.mark.parametrize(
    ("reader", "kind"), [("shown_pictures", "picture"), ("decode_audio_on_time", "sound")]
)  # fmt: skip
def test_a_stream_of_which_nothing_can_be_decoded(source, tmp_path, monkeypatch, reader, kind) -> None:
    monkeypatch.setattr(module, reader, lambda *_, **__: iter(()))
    found = made(source, tmp_path / "o.mp4", 1.0, 2.0)
    assert (found["status"], found["error"]) == ("corrupt", f"no {kind} can be decoded")


def test_a_file_of_each_kind_and_one_of_them_joined(source, tmp_path, monkeypatch) -> None:
    picture, sound = part(source, tmp_path / "v.mkv", audio=0.0), part(source, tmp_path / "a.mkv", video=0.0)
    monkeypatch.setattr(module, "find_joins", lambda _, path: Joins(shifts=(0.0, 0.0) if "a.mkv" in path else (0.0,)))
    found = cut([str(picture), str(sound)], str(tmp_path / "o.mp4"), 0.5, 2.5, 30, 0.1)
    assert (found["status"], found["note"]) == ("ok", "cut from recordings that were joined and follow each other")
    for path, kind in ((picture, "audio"), (sound, "video")):
        assert made(path, tmp_path / "o.mp4", 0.5, 2.5)["status"] == f"no_{kind}_stream"


TWO = "sound is missing for 2.0 s, which are silent"


@pytest.mark.parametrize(("after", "seconds", "note"), [(0.7, 9.0, None), (1.5, 9.0, TWO), (1.5, 0.5, None)])
def test_silence_that_the_file_does_not_hold_is_noted(source, tmp_path, monkeypatch, after, seconds, note) -> None:
    """Of what the file lacks, only what lies in the segment counts, and no more than there is of the segment."""
    read = module.decode_audio_on_time

    def lacking(*given: Any, findings: Findings, **keys: Any):
        told = False
        for item in read(*given, findings=findings, **keys):
            if item[0] > after and not told:
                told, findings.silence_s = True, findings.silence_s + seconds
            yield item

    monkeypatch.setattr(module, "decode_audio_on_time", lacking)
    assert made(source, tmp_path / "o.mp4", 1.0, 3.0)["note"] == note
