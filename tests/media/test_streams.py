"""Which stream is the picture and which the sound, rule by rule: streams by hand."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import pytest
from av.stream import Disposition

from avzsl.media import streams
from avzsl.media.errors import MediaError
from avzsl.media.streams import choose_streams, container_length, pick_audio, pick_video, stated_length

NONE, DEFAULT = Disposition(0), Disposition.default


def video(
    size: tuple[int, int] = (64, 48), mark: Any = NONE, codec: str | None = "h264", frames: int = 9, **more: Any
) -> Any:
    context = codec and SimpleNamespace(width=size[0], height=size[1], name=codec)
    return SimpleNamespace(
        codec_context=context, disposition=mark, frames=frames, metadata=more, average_rate=Fraction(25)
    )


def sound(channels: int = 1, mark: Any = NONE, codec: str | None = "aac") -> Any:
    return SimpleNamespace(codec_context=codec and SimpleNamespace(channels=channels, name=codec), disposition=mark)


def holder(pictures: list[Any] = [], sounds: list[Any] = []) -> Any:  # noqa: B006
    for index, stream in enumerate([*pictures, *sounds]):
        stream.index = index
    return SimpleNamespace(streams=SimpleNamespace(video=pictures, audio=sounds))


@pytest.mark.parametrize(
    ("pictures", "chosen"),
    [
        ([video(), video()], 0),  # the first
        ([video(), video((64, 49))], 1),  # the largest
        ([video((100, 10)), video((30, 40))], 1),  # by its pixels, not a side
        ([video((640, 480)), video(mark=DEFAULT)], 1),  # marked as default
        ([video((640, 480), DEFAULT, "png"), video()], 1),  # a moving one before a single image
        ([video((640, 480), DEFAULT, frames=1), video()], 1),
        ([video((640, 480), DEFAULT, frames=2), video()], 0),
        ([video((640, 480), DEFAULT, NUMBER_OF_FRAMES="1 "), video()], 1),
        ([video((640, 480), DEFAULT, NUMBER_OF_FRAMES="11"), video()], 0),
        ([video((640, 480), DEFAULT | Disposition.still_image), video()], 1),
        ([video((640, 480), DEFAULT, codec=None), video()], 1),  # one that nothing can decode
        ([video((640, 480), DEFAULT | Disposition.attached_pic), video(codec="png")], 1),  # a cover never
        ([video(mark=Disposition.timed_thumbnails)], None),
        ([video(mark=Disposition.attached_pic)], None),
        ([video(codec="png")], 0),
        ([], None),
    ],
)
def test_the_picture(pictures, chosen) -> None:
    assert choose_streams(holder(pictures)).video is (None if chosen is None else pictures[chosen])


@pytest.mark.parametrize(
    ("sounds", "chosen"),
    [
        ([sound(), sound()], 0),
        ([sound(1), sound(2)], 1),
        ([sound(6), sound(2, DEFAULT)], 1),
        ([sound(6, Disposition.forced), sound(2, DEFAULT | Disposition.forced)], 1),
        ([sound(codec=None), sound()], 1),
        ([], None),
    ],
)
def test_the_sound(sounds, chosen) -> None:
    assert choose_streams(holder([], sounds)).audio is (None if chosen is None else sounds[chosen])


def test_what_is_noted_of_them() -> None:
    info = SimpleNamespace(fps=None, video_codec=None, audio_codec=None)
    container = holder([video(), video((640, 480), codec="vp9")], [sound()])
    assert pick_video(container, info).index == 1
    assert (info.video_codec, info.fps) == ("vp9", 25.0)
    assert pick_video(container, info, first=True).index == 0
    assert info.video_codec == "h264"
    pick_audio(container, info)
    assert info.audio_codec == "aac"
    for pick, kind in ((pick_video, "video"), (pick_audio, "audio")):
        with pytest.raises(MediaError, match=f"no {kind} stream") as caught:
            pick(holder(), info)
        assert caught.value.status == f"no_{kind}_stream"


def length(ticks: int | None, base: Any = Fraction(1, 10)) -> Any:
    return SimpleNamespace(duration=ticks, time_base=base)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [([length(50)], 5.0), ([length(50), length(40)], 4.0), ([length(50), length(None)], None), ([length(50), length(9, None)], None)],
)  # fmt: skip
def test_the_shorter_stream_counts_and_both_must_say(given, seconds) -> None:
    assert stated_length(*given) == seconds


def test_what_a_container_says_of_its_length(monkeypatch) -> None:
    def made(kinds: tuple[str, ...], duration: int | None = 5 * av.time_base) -> Any:
        return SimpleNamespace(duration=duration, streams=[SimpleNamespace(type=kind) for kind in kinds])

    monkeypatch.setattr(streams, "is_broadcast", lambda container: False)
    assert container_length(made(("video", "audio"))) == 5.0
    assert container_length(made(("video", "audio", "subtitle"))) is None
    assert container_length(made(("video",), None)) is None
    monkeypatch.setattr(streams, "is_broadcast", lambda container: True)
    assert container_length(made(("video", "audio"))) is None
