"""Uniform windows: [0, 1), [1, 2) ... seconds, sound and picture cut at the same times from timestamps.

Second 0 is where both streams have begun, and the clip ends where the first of them ends. A last window of half a second
or more is kept: its picture holds the last frame and its sound ends in silence. A clip of half a second or more therefore
has at least one window, and no second of a clip is seen twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avzsl.media.clock import find_joins
from avzsl.media.failures import FAILURES, said
from avzsl.media.findings import Findings, joined
from avzsl.media.opening import open_container
from avzsl.media.pictures import Picture, shown_pictures
from avzsl.media.sound import decode_audio_on_time
from avzsl.media.sparing import Sparing
from avzsl.media.streams import container_length, pick_audio, pick_video, stated_length
from extractors.base import ClipError, ClipInfo

# A window of half a second is kept; a millisecond of grace for what timestamps round away.
SHORTEST_S = 0.5 - 1e-3

# A decoded frame -> the pixels that the networks take, an array wherever `Second.frames` is asked for.
Convert = Callable[[VideoFrame], Any]


@dataclass(frozen=True)
class Second:
    """One second of a clip, or its last part: from `start` to `end` in seconds.

    `samples` int16 at the rate asked for, fewer than a second's at the end of the sound; `shown` holds what each frame was
    converted to, the same object where a picture is shown again. One is None in a clip that lacks it.
    """

    start: float
    end: float
    samples: np.ndarray | None
    shown: list[Any] | None

    @cached_property
    def frames(self) -> np.ndarray | None:
        """The converted frames as one array (count, ...)."""
        return None if self.shown is None else np.stack(self.shown)


def read_uniform_seconds(
    path: Path, info: ClipInfo, rate: int, frames: int, convert: Convert, *, either: bool = False,
    shortest: float = SHORTEST_S, kept: range | None = None,
) -> Iterator[Second]:  # fmt: skip
    """Yield the seconds of a clip with `frames` frames each; at most a second of either stream is held in memory.

    A last part of `shortest` seconds or more is a window; its frames are `frames` too, the last one repeated. Where not
    all of them are wanted, `kept` says which are converted and given.

    With `either`, a clip that has no sound or no picture, or none that can be decoded, gives seconds of the other alone;
    `info.absent` and `info.note` say what is not there. Raises ClipError where there is no window.
    """
    with open_container(path, pictures=True) as pictures, open_container(path) as sounds:
        info.frames = info.audio_samples = 0
        joins, findings = find_joins(pictures, path), Findings()
        sparing = Sparing(frames, findings)
        streams: list[VideoStream | AudioStream] = []
        begins: list[float] = []
        faults: list[ClipError] = []
        video = audio = None
        try:
            video_stream = pick_video(pictures, info)
            decoded = shown_pictures(pictures, video_stream, findings, joins=joins, sparing=sparing)
            video = _Picture(decoded, frames, kept or range(frames), convert)
            begins.append(video.begin())
            streams.append(video_stream)
        except ClipError as error:
            _without(error, faults, either)
            video = None
        try:
            audio_stream = pick_audio(sounds, info)
            audio = _Sound(decode_audio_on_time(sounds, audio_stream, rate, joins=joins, findings=findings), info, rate)
            begins.append(audio.begin())
            streams.append(audio_stream)
        except ClipError as error:
            _without(error, faults, either)
            audio = None
        if not streams:
            raise faults[0]
        if faults:
            info.absent = faults[0].status
        zero = sparing.zero = max(begins)
        length = 0.0
        for second in range(10**9):
            samples = None if audio is None else audio.take(zero + second)
            shown, seconds = (None, 1.0) if video is None else video.take(zero + second)
            part = min(1.0, 1.0 if samples is None else samples.size / rate, seconds)
            length = second + max(part, 0.0)
            if part < shortest or (video is not None and shown is None):
                break
            info.found(findings)
            yield Second(float(second), length, samples, shown)
            if part < 1.0:
                break
        info.duration_s = round(length, 6)
        info.found(findings)
        notes = [fault.reason for fault in faults] + findings.notes()
        if joins.several:
            notes.append(f"{len(joins.shifts)} recordings joined, which follow each other")
        stated = stated_length(*streams) or container_length(pictures)
        if stated is not None and length < stated - 1.0 and not joins.several:
            notes.insert(0, f"only {length:.1f} of the stated {stated:.1f} s could be read")
        info.note = joined(notes)
        if length < shortest:
            what = "sound and picture together last" if len(streams) > 1 else "it lasts"
            raise ClipError("too_short", f"{what} {length:.2f} s; a window needs {max(shortest, 0.01):.2g}")


def _without(error: ClipError, faults: list[ClipError], either: bool) -> None:
    """Note what a clip lacks; raises the error where both are needed, or the fault is another."""
    if not either or error.status not in ("no_audio_stream", "no_video_stream", "corrupt"):
        raise error
    faults.append(error)


class _Sound:
    """The sound of a clip, second by second."""

    def __init__(self, chunks: Iterator[tuple[float, np.ndarray]], info: ClipInfo, rate: int) -> None:
        self._chunks = chunks
        self._rate = rate
        self._info = info
        self._held = np.zeros(0, np.int16)
        self._time = 0.0  # of the first sample held

    def begin(self) -> float:
        """Return the time of the first sample; raises ClipError if there is none."""
        for time, chunk in self._chunks:
            self._time, self._held = time, chunk
            self._info.audio_samples = chunk.size
            return time
        raise ClipError("corrupt", "its sound cannot be decoded")

    def take(self, time: float) -> np.ndarray:
        """Return the samples of [time, time + 1), fewer at the end of the stream."""
        pieces, held = [self._held], self._held.size
        needed = round((time - self._time) * self._rate) + self._rate
        while held < needed:
            try:
                _, chunk = next(self._chunks)
            except StopIteration:
                break
            pieces.append(chunk)
            held += chunk.size
            self._info.audio_samples = (self._info.audio_samples or 0) + chunk.size
            if held > 4 * self._rate and held < needed:  # a long way to go: keep only what can still be needed
                self._drop(pieces, held)
                pieces, held = [self._held], self._held.size
                needed = round((time - self._time) * self._rate) + self._rate
        whole = np.concatenate(pieces)
        start = max(round((time - self._time) * self._rate), 0)
        taken = whole[start : start + self._rate]
        self._held = whole[start + taken.size :]
        self._time += (start + taken.size) / self._rate
        return taken

    def _drop(self, pieces: list[np.ndarray], held: int) -> None:
        whole = np.concatenate(pieces)
        self._held = whole[-self._rate :]
        self._time += (held - self._held.size) / self._rate


class _Picture:
    """The picture of a clip, second by second: those `kept` of `frames`, which are on show in the middle of equal parts of it."""

    def __init__(self, pictures: Iterator[Picture], frames: int, kept: range, convert: Convert) -> None:
        self._pictures = pictures
        self._convert = convert
        self._count, self._kept = frames, kept
        self._shown: Picture
        self._pixels: Any = None  # of the picture on show, converted when first needed

    def begin(self) -> float:
        """Return the time of the first picture; raises ClipError if there is none."""
        first = next(self._pictures, None)
        if first is None:
            raise ClipError("corrupt", "its picture cannot be decoded")
        self._shown = first
        return first.time

    def take(self, time: float) -> tuple[list[Any] | None, float]:
        """Return the converted frames of [time, time + 1), and for how many seconds of it there is a picture.

        After the last frame it is repeated; None where there is no picture at all.
        """
        chosen: list[Any] = []
        begun = False
        for slot in range(self._count):
            moment = time + (slot + 0.5) / self._count
            while not self._shown.last and self._shown.until <= moment:
                self._shown, self._pixels = next(self._pictures), None
            if self._shown.last and moment > self._shown.until:
                break
            begun = True
            if slot in self._kept:
                chosen.append(self._converted())
        seconds = self._shown.until - time if self._shown.last else 1.0
        if not begun:
            return None, min(seconds, 0.0)
        if len(chosen) < len(self._kept):  # only behind the last frame
            chosen += [self._converted()] * (len(self._kept) - len(chosen))
        return chosen, min(seconds, 1.0)

    def _converted(self) -> Any:
        if self._pixels is None:
            try:
                self._pixels = self._convert(self._shown.frame)
            except FAILURES as error:
                raise ClipError("corrupt", f"a frame cannot be converted to RGB: {said(error)}") from error
        return self._pixels
