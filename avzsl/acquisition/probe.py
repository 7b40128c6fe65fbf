"""Look into a media file: is it whole, has it sound and picture, how long is it.

Runs in a decoding process (`decoder.py`), because files are hostile and decoders crash.
"""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Stream

from avzsl.media.errors import MediaError, said
from avzsl.media.opening import open_container
from avzsl.media.streams import choose_streams

# A stream whose packets end this long before the length that its container states has lost its end.
_TAIL_S = 1.0
_TAIL_SHARE = 0.1


def probe(path: str) -> dict[str, Any]:
    """Read every packet of `path` and decode the first picture and sound.

    Returns `status` (ok, no_audio_stream, no_video_stream or corrupt), `error`, and what is known of duration_s
    (of the shorter stream), fps, width, height, video_codec, audio_codec, audio_rate and channels. A file counts
    as corrupt when it cannot be opened, when a stream has no decodable frame, or when its packets end more than
    a second and a tenth of the length before the length that its container states.
    """
    try:
        with open_container(Path(path)) as container:
            return _look(container)
    except MediaError as error:
        return {"status": error.status, "error": error.reason}
    except (av.FFmpegError, ValueError, EOFError) as error:
        return {"status": "corrupt", "error": f"not a readable media file ({said(error)})"}
    except MemoryError:
        return {"status": "corrupt", "error": "needs more memory to decode than any real clip"}


def _look(container: InputContainer) -> dict[str, Any]:
    streams = choose_streams(container)
    facts: dict[str, Any] = {"status": "ok", "error": None}
    if streams.video is not None:
        context = streams.video.codec_context
        rate = streams.video.average_rate
        facts |= {
            "video_codec": context.name if context else None,
            "width": streams.video.width,
            "height": streams.video.height,
            "fps": float(rate) if rate else None,
        }
    if streams.audio is not None:
        facts |= {
            "audio_codec": streams.audio.codec_context.name if streams.audio.codec_context else None,
            "audio_rate": streams.audio.rate,
            "channels": streams.audio.channels,
        }
    if streams.video is None or streams.audio is None:
        kind = "video" if streams.video is None else "audio"
        return facts | {"status": f"no_{kind}_stream", "error": f"the file has no {kind} stream"}
    lengths = {}
    tracks = {stream.index: _Track(stream) for stream in (streams.video, streams.audio)}
    broken = ""
    try:
        for packet in container.demux(streams.video, streams.audio):
            # PyAV's flushing packets have index 0, whatever their stream.
            tracks[packet.stream.index].take(packet)
    except av.FFmpegError as error:
        broken = f"; reading stopped: {said(error)}"
    for kind, track in zip(("video", "audio"), tracks.values(), strict=True):
        if not track.decoded:
            return facts | {"status": "corrupt", "error": f"no {kind} frame can be decoded{broken}"}
        stated = track.stated
        lengths[kind] = length = track.length
        if stated and length < stated - max(_TAIL_S, _TAIL_SHARE * stated):
            message = (
                f"the {kind} ends after {length:.2f} s of the stated {stated:.2f} s: the file is cut short{broken}"
            )
            return facts | {"status": "corrupt", "error": message}
    return facts | {"duration_s": min(lengths.values())}


class _Track:
    """What the packets of one stream add up to."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.decoded = False
        self.packets = 0
        self.first: int | None = None
        self.end = 0
        self._tries = 0

    def take(self, packet: av.Packet) -> None:
        if not packet.size or packet.is_corrupt:
            if not packet.size:
                self._decode(packet)
            return
        self.packets += 1
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            self.first = time if self.first is None else min(self.first, time)
            self.end = max(self.end, time + (packet.duration or 0))
        self._decode(packet)

    def _decode(self, packet: av.Packet) -> None:
        # One frame is the proof of a working decoder; 300 packets are more than any real delay.
        if self.decoded or self._tries > 300:
            return
        self._tries += 1
        # A damaged first packet does not make the stream undecodable.
        with contextlib.suppress(av.FFmpegError, EOFError):
            self.decoded = bool(self.stream.decode(packet))  # type: ignore[attr-defined]

    @property
    def length(self) -> float:
        base = self.stream.time_base or Fraction(0)
        if self.first is not None and base:
            return float((self.end - self.first) * base)
        # Old AVIs carry no time stamps: the frame count and rate are what there is.
        rate = getattr(self.stream, "average_rate", None)
        return float(self.packets / rate) if rate else 0.0

    @property
    def stated(self) -> float | None:
        if not self.stream.duration or not self.stream.time_base:
            return None
        return float(self.stream.duration * self.stream.time_base)
