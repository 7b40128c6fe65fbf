"""Cut a segment exactly: one decode from the key frame before it, one encode of its pictures and samples alone.

Runs in a decoding process (`decoder.py`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, dropwhile
from typing import Any, TypeVar

import av
import numpy as np
from av.container import InputContainer

from avzsl.acquisition.encode import GRACE_S, PictureTrack, SoundTrack, aac_format
from avzsl.media.clock import Joins, find_joins, origin
from avzsl.media.errors import MediaError
from avzsl.media.failures import said
from avzsl.media.findings import Findings, joined, shape
from avzsl.media.opening import open_container
from avzsl.media.pictures import Picture, shown_pictures
from avzsl.media.sound import Converter, decode_audio_on_time, usual_layout
from avzsl.media.streams import choose_streams

# Decoding begins this long before the segment, so that audio codecs have settled when it starts.
_PREROLL_S = 0.25
# Where to try again when seeking leads behind the start; at last the file is decoded from its beginning.
_FURTHER_BACK_S = (0.0, 12.0, 60.0, float("inf"))

_Item = TypeVar("_Item", Picture, tuple[float, np.ndarray])


def cut(
    inputs: list[Any],
    out: str,
    start_s: float | None,
    end_s: float | None,
    crf: int,
    tolerance_s: float,
    max_lost_share: float = 1.0,
) -> dict[str, Any]:
    """Write the segment [start_s, end_s) of `inputs` to `out` as H.264 and AAC in mp4.

    `inputs` is one file with both streams, or one with video and one with audio (paths or readable objects). Time
    0 of the result is start_s: audio begins there to the sample, video with the picture on show there, so that both stay
    in step; the picture on show at end_s stays on show until then. Pictures are upright, in the colours of the source.
    Returns `status` (ok, no_audio_stream, no_video_stream, corrupt, shorter_than_segment) with `error`, `start_error_s`: how
    much later than start_s the source shows its first picture, `lost_frames`, `lost_sound_s` and `note`. More than
    `max_lost_share` of pictures or sound lost makes the clip corrupt.
    """
    try:
        return _cut(inputs, out, start_s or 0.0, end_s, crf, tolerance_s, max_lost_share)
    except MediaError as error:
        status = error.status if error.status in {"no_video_stream", "no_audio_stream", "too_large"} else "corrupt"
        return {"status": status, "error": error.reason}
    except (av.FFmpegError, OSError, ValueError, EOFError) as error:
        if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
            return {"status": "disk", "errno": error.errno}  # type: ignore[union-attr]
        return {"status": "corrupt", "error": f"cannot be cut: {said(error)}"}
    except MemoryError:
        return {"status": "corrupt", "error": "needs more memory to decode than any real clip"}


def _cut(
    inputs: Sequence[Any],
    out: str,
    start: float,
    end: float | None,
    crf: int,
    tolerance_s: float,
    max_lost_share: float,
) -> dict[str, Any]:
    with ExitStack() as stack:
        opened = [stack.enter_context(open_container(_anew(item))) for item in inputs]
        found = [choose_streams(container) for container in opened]
        for kind in ("video", "audio"):
            if not any(getattr(streams, kind) for streams in found):
                return {"status": f"no_{kind}_stream", "error": f"the file has no {kind} stream"}
        # The picture is in the first file that has one, the sound in the last.
        video_in = next(i for i, streams in enumerate(found) if streams.video is not None)
        audio_in = next(i for i in reversed(range(len(found))) if found[i].audio is not None)
        joins = {i: find_joins(opened[i], _anew(inputs[i])) for i in {video_in, audio_in}}
        video, audio = found[video_in].video, found[audio_in].audio
        assert video is not None and audio is not None
        rate, layout = aac_format(audio.rate, usual_layout(audio.layout))
        seen, heard = Findings(), Findings()

        def pictures(container: InputContainer, zero: float, sought: bool) -> Iterator[Picture]:
            stream = choose_streams(container).video
            assert stream is not None
            for picture in shown_pictures(container, stream, seen, joins=joins[video_in], sought=sought):
                yield replace(picture, time=picture.time - zero, until=picture.until - zero)

        def sounds(container: InputContainer, zero: float, sought: bool) -> Iterator[tuple[float, np.ndarray]]:
            stream = choose_streams(container).audio
            assert stream is not None
            convert = Converter(rate, layout)
            for time, wave in decode_audio_on_time(
                container, stream, rate, convert=convert, joins=joins[audio_in], findings=heard
            ):
                yield time - zero, wave

        shown = _covering(
            stack, inputs[video_in], opened[video_in], joins[video_in], start, pictures, lambda picture: picture.time
        )
        # Picture and sound are read side by side, each from a container of its own.
        spare = opened[audio_in] if audio_in != video_in else None
        waves = _covering(stack, inputs[audio_in], spare, joins[audio_in], start, sounds, lambda chunk: chunk[0])
        shown = dropwhile(lambda picture: picture.until <= start + GRACE_S, shown)
        waves = dropwhile(lambda chunk: chunk[0] + chunk[1].shape[1] / rate <= start, waves)
        first, wave = next(shown, None), next(waves, None)
        if first is None or wave is None:
            return _short(0.0, start, end, "picture" if first is None else "sound", seen if first is None else heard)
        # What was lost before the segment is not the clip's.
        seen.lost_frames, heard.lost_sound_s, heard.silence_s = 0, 0.0, 0.0
        result = stack.enter_context(av.open(out, "w", format="mp4", options={"movflags": "+faststart"}))
        picture = PictureTrack(result, video, first, start, end, crf)
        sound = SoundTrack(result, rate, layout, start, end)
        shown, waves = chain([first], shown), chain([wave], waves)
        while not (picture.done and sound.done):
            # By time, so that the muxer need not hold one of them back; a picture first, as it comes before its sound.
            if not picture.done and (sound.done or not picture.frames or picture.until <= sound.until):
                picture.take(next(shown, None))
            else:
                sound.take(next(waves, None))
        picture.close()
        sound.close()
    covered = min(picture.until, sound.until) - start
    if covered <= 0 or (end is not None and covered < end - start - tolerance_s):
        return _short(covered, start, end, "picture" if picture.until < sound.until else "sound", seen)
    lost = Findings(
        picture.frames, seen.lost_frames, sound.samples / rate, heard.lost_sound_s, min(heard.silence_s, covered),
        picture.frozen_s, sound.heard, picture.moved, heard.mean_energy, heard.difference_energy,
    )  # fmt: skip
    facts = {"lost_frames": lost.lost_frames, "lost_sound_s": round(lost.lost_sound_s, 3)}
    if lost.lost_share > max_lost_share:
        return {
            "status": "corrupt",
            "error": f"{lost.damage()}; media.max_lost_share allows {max_lost_share:g}",
        } | facts
    notes = [*lost.notes(), *shape(video.sample_aspect_ratio)]
    if any(found.several for found in joins.values()):
        notes.append("cut from recordings that were joined and follow each other")
    return {"status": "ok", "start_error_s": max(0.0, first.time - start), "note": joined(notes)} | facts


def _short(covered: float, start: float, end: float | None, kind: str, findings: Findings) -> dict[str, Any]:
    if not findings.frames and not findings.sound_s:
        return {"status": "corrupt", "error": f"no {kind} can be decoded"}
    length = f" of {end - start:.2f} s" if end is not None else ""
    message = f"the {kind} ends {max(0.0, covered):.2f} s into the segment{length}"
    return {"status": "shorter_than_segment", "error": message}


def _covering(
    stack: ExitStack,
    item: Any,
    opened: InputContainer | None,
    joins: Joins,
    start: float,
    read: Callable[[InputContainer, float, bool], Iterator[_Item]],
    time_of: Callable[[_Item], float],
) -> Iterator[_Item]:
    """Return what `read` gives from a place at or before `start` on, whatever seeking does.

    The container is sent to a little before the start, then further and further back, until its first item begins in time.
    """
    for back in _FURTHER_BACK_S:
        # Seeking goes by the clock that the file has, not by the one that joined recordings are given.
        target = 0.0 if joins.several else max(0.0, start - _PREROLL_S - back)
        container = opened or stack.enter_context(open_container(_anew(item)))
        opened = None
        zero = origin(container)
        if target > 0:
            try:
                container.seek(int((target + zero) * av.time_base))
            except (av.FFmpegError, OSError):
                continue
        items = read(container, zero, target > 0)
        first = next(items, None)
        if first is not None and (target <= 0 or time_of(first) <= start + GRACE_S):
            return chain([first], items)
        if target <= 0:
            break
    return iter(())


def _anew(item: Any) -> Any:
    """Return a path, or another reader of the same file: each container reads at a place of its own."""
    return item.again() if hasattr(item, "again") else item
