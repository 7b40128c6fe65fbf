"""Look into a media file: is it whole, has it sound and picture, how long is it.

Runs in a decoding process (`decoder.py`), because files are hostile and decoders crash.
"""

from __future__ import annotations

import contextlib
from array import array
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from avzsl.media.beginnings import second_beginning
from avzsl.media.clock import Joins, Track, joins_of, may_jump, not_followed
from avzsl.media.errors import MediaError
from avzsl.media.failures import said
from avzsl.media.findings import joined, missing, shape
from avzsl.media.opening import open_container, packets_of
from avzsl.media.streams import choose_streams, container_length

# A stream whose packets end this long before the length that its container states has lost its end.
_TAIL_S = 1.0
_TAIL_SHARE = 0.1
# Frames vary in rate when more than this share of them follows sooner or later than rounding explains.
_ODD_SHARE, _ROUNDED_S = 0.02, 2e-3
# Formats that hold their packets up to their end: where no length is stated, this shows that reading stopped before it.
_FULL = frozenset({"flv", "matroska,webm"})


def probe(path: str) -> dict[str, Any]:
    """Read every packet of `path` and decode the first picture and sound.

    Returns `status` (ok, no_audio_stream, no_video_stream or corrupt), `error`, and what is known of duration_s
    (what is shown of the shorter stream), fps and whether it varies, width, height, video_codec, audio_codec, audio_rate,
    channels, and a `note` that names holes and joins. A file counts as corrupt when it cannot be opened, when a stream has
    no decodable frame, or when its packets end more than a second and a tenth of the length before the length that its
    streams or its container state.
    """
    try:
        with open_container(Path(path)) as container:
            return _look(container, Path(path))
    except MediaError as error:
        return {"status": error.status, "error": error.reason}
    except (av.FFmpegError, ValueError, EOFError) as error:
        return {"status": "corrupt", "error": f"not a readable media file ({said(error)})"}
    except MemoryError:
        return {"status": "corrupt", "error": "needs more memory to decode than any real clip"}


def _look(container: InputContainer, path: Path) -> dict[str, Any]:
    streams = choose_streams(container)
    facts: dict[str, Any] = {"status": "ok", "error": None}
    if streams.video is not None:
        context = streams.video.codec_context
        rate = streams.video.average_rate
        facts |= {
            "video_codec": context.name if context else None,
            "width": context.width if context else None,
            "height": context.height if context else None,
            "fps": float(rate) if rate else None,
        }
    if streams.audio is not None:
        sound = streams.audio.codec_context  # without a decoder there is none, nor what it would know
        facts |= {
            "audio_codec": sound.name if sound else None,
            "audio_rate": sound.rate if sound else None,
            "channels": sound.channels if sound else None,
        }
    if streams.video is None or streams.audio is None:
        kind = "video" if streams.video is None else "audio"
        return facts | {"status": f"no_{kind}_stream", "error": f"the file has no {kind} stream"}
    tracks = {stream.index: _Track(stream) for stream in (streams.video, streams.audio)}
    broken = ""
    try:
        for packet in packets_of(container, streams.video, streams.audio):
            # PyAV's flushing packets have index 0, whatever their stream.
            tracks[packet.stream.index].take(packet)
    except av.FFmpegError as error:
        broken = f"; reading stopped: {said(error)}"
    joins = joins_of({index: track.clock for index, track in tracks.items()}) if may_jump(container) else Joins()
    stated_whole = container_length(container)
    for kind, track in zip(("video", "audio"), tracks.values(), strict=True):
        if not track.decoded:
            return facts | {"status": "corrupt", "error": f"no {kind} frame can be decoded{broken}"}
        # Recordings that were joined state the length of one, and a single picture lasts as long as the container says.
        if joins.several or (kind == "video" and track.packets == 1):
            continue
        if message := _cut_short(f"the {kind} ends", track.length(joins, hidden=True), track.stated):
            return facts | {"status": "corrupt", "error": message + broken}
    video, audio = tracks.values()
    clocks = [video.clock, audio.clock]
    if message := not_followed(second_beginning(path), clocks, joins):
        return facts | {"status": "corrupt", "error": message + broken}
    reached = max(clock.reached for clock in clocks)
    if container.format.name in _FULL and stated_whole is None and reached < (1 - _TAIL_SHARE) * container.size:
        message = f"reading ends after {reached} of {container.size} bytes: it is damaged"
        return facts | {"status": "corrupt", "error": message + broken}
    lengths = [track.length(joins) for track in tracks.values()]
    if video.packets == 1 and container.duration:  # a single picture is on show as long as the container says
        lengths[0] = max(lengths[0], container.duration / av.time_base)
    if message := _cut_short("picture and sound end", max(lengths), stated_whole):
        return facts | {"status": "corrupt", "error": message + broken}
    step, variable = video.rate(joins)
    notes = missing(audio.gaps(joins, 1.0), video.gaps(joins, max(1.0, 3 * step), step))
    notes += shape(streams.video.sample_aspect_ratio)
    if joins.several:
        notes.append(f"{len(joins.shifts)} recordings joined, which follow each other")
    return facts | {"duration_s": min(lengths), "variable_fps": variable, "note": joined(notes)}


def _cut_short(what: str, length: float, stated: float | None) -> str | None:
    """Say so if a file lacks more than a second and a tenth of what it states."""
    if not stated or length >= stated - max(_TAIL_S, _TAIL_SHARE * stated):
        return None
    return f"{what} after {length:.2f} s of the stated {stated:.2f} s: the file is cut short"


class _Track:
    """What the packets of one stream add up to."""

    def __init__(self, stream: VideoStream | AudioStream) -> None:
        self.stream = stream
        self.clock = Track(float(stream.time_base or 0))
        self.decoded = False
        self.packets = 0
        # Of each stretch between jumps of the clock: number of its first packet, times in ticks of what is shown.
        self._parts: list[_Part] = [_Part(0)]
        self._tries = 0

    def take(self, packet: av.Packet) -> None:
        corrupt = packet.is_corrupt
        if packet.size and not corrupt:
            jumps = len(self.clock.jumps)
            self.clock.take(packet)
            if len(self.clock.jumps) > jumps:
                self._parts.append(_Part(self.packets))
            self.packets += 1
            self._parts[-1].take(packet)
        if not corrupt and not self.decoded:
            self._decode(packet)

    def _decode(self, packet: av.Packet) -> None:
        # One frame is the proof of a working decoder; 300 packets are more than any real delay.
        if self._tries > 300:
            return
        self._tries += 1
        # A damaged first packet does not make the stream undecodable.
        with contextlib.suppress(av.FFmpegError, EOFError):
            self.decoded = bool(self.stream.decode(packet))

    def length(self, joins: Joins, *, hidden: bool = False) -> float:
        """Return the seconds from the first to the last packet that is shown, or with those that an edit list hides."""
        base = float(self.stream.time_base or 0)
        ends = [
            (part.bounds(hidden)[0] * base + shift, part.bounds(hidden)[1] * base + shift)
            for part in self._parts
            if part.times or (hidden and part.hidden)
            for shift in [joins.shift(self.stream, part.packet)]
        ]
        if ends and base:
            return max(end for _, end in ends) - min(begin for begin, _ in ends)
        # Old AVIs carry no time stamps: the frame count and rate are what there is.
        rate = getattr(self.stream, "average_rate", None)
        return float(self.packets / rate) if rate else 0.0

    def rate(self, joins: Joins) -> tuple[float, bool]:
        """Return the usual seconds from one packet to the next, and whether they vary by more than rounding."""
        steps = np.concatenate([np.diff(np.sort(times)) for times, _ in self._stretches(joins)])
        steps = steps[steps > 0] * float(self.stream.time_base or 0)
        if not steps.size:
            return 0.0, False
        usual = float(np.median(steps))
        odd = np.mean((steps > 1.5 * usual + _ROUNDED_S) | (steps < usual / 1.5 - _ROUNDED_S))
        return usual, bool(odd > _ODD_SHARE or steps.max() > usual + 1.0)

    def gaps(self, joins: Joins, longest: float, step: float = 0.0) -> float:
        """Return the seconds in gaps of more than `longest` between one packet's end, or its beginning plus `step`, and the next."""
        base = float(self.stream.time_base or 0)
        total = 0.0
        for ticks, lengths in self._stretches(joins):
            order = np.argsort(ticks, kind="stable")
            times = ticks[order] * base
            ends = times + (step or lengths[order] * base)
            holes = times[1:] - ends[:-1]
            total += float(holes[holes > longest].sum())
        return total

    def _stretches(self, joins: Joins) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return times and lengths in ticks of each recording; a jump that is no join is a gap inside one."""
        parts = [(np.asarray(part.times, np.int64), np.asarray(part.lengths, np.int64)) for part in self._parts]
        if joins.several:
            return parts
        return [(np.concatenate([times for times, _ in parts]), np.concatenate([lengths for _, lengths in parts]))]

    @property
    def stated(self) -> float | None:
        base = self.stream.time_base
        stated = float(self.stream.duration * base) if self.stream.duration and base else 0.0
        rate = getattr(self.stream, "average_rate", None)
        # FFmpeg shortens the length of an AVI to what is there, but not the number of frames that its header states.
        if rate and self.stream.frames and self.stream.container.format.name == "avi":
            stated = max(stated, float(self.stream.frames / rate))
        return stated or None


class _Part:
    """The times of packets between two jumps of the clock, in ticks."""

    def __init__(self, packet: int) -> None:
        self.packet = packet
        self.times, self.lengths = array("q"), array("q")
        self.hidden: list[int] = []

    def take(self, packet: av.Packet) -> None:
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            return
        length = packet.duration or 0
        if packet.is_discard:  # an edit list hides it
            self.hidden = [min([time, *self.hidden[:1]]), max([time + length, *self.hidden[1:]])]
        else:
            self.times.append(time)
            self.lengths.append(length)

    def bounds(self, hidden: bool) -> tuple[int, int]:
        """Return the first and the last tick."""
        begin = [min(self.times)] if self.times else []
        end = [int(np.max(np.add(self.times, self.lengths)))] if self.times else []
        if hidden and self.hidden:
            begin.append(self.hidden[0])
            end.append(self.hidden[1])
        return min(begin), max(end)
