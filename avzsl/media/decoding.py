"""Demux and decode one stream of a file, once, in the order in which its frames are shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from avzsl.media import hardware
from avzsl.media.clock import Joins
from avzsl.media.errors import MediaError
from avzsl.media.failures import FAILURES, said
from avzsl.media.findings import Findings
from avzsl.media.opening import packets_of
from avzsl.media.sparing import Sparing


def decode(
    container: InputContainer,
    stream: VideoStream | AudioStream,
    *,
    strict: bool = False,
    joins: Joins | None = None,
    findings: Findings | None = None,
    sought: bool = False,
    sparing: Sparing | None = None,
) -> Iterator[Any]:
    """Yield the frames of a stream; a demuxer that gives up ends it, as a truncated file does.

    A packet that cannot be decoded is counted in `findings` and left out; `strict`: it ends the clip with
    MediaError("corrupt"). `sought`: the container was sent to another place than its beginning, so that a picture is
    decoded from the first key frame on and nothing is shown from before it. `sparing`: frames that may be left out are.
    """
    findings = findings or Findings()
    key_time: float | None = None
    packets = _packets(container, stream, strict, joins)
    if sparing is not None and isinstance(stream, VideoStream):
        packets = sparing.packets(packets, stream)
    for packet in packets:
        if sought and isinstance(stream, VideoStream) and key_time is None and packet.size:
            if not packet.is_keyframe:
                continue
            key_time = float((packet.pts or 0) * (packet.time_base or 0)) if packet.pts is not None else float("-inf")
        try:
            frames = packet.decode()
        except FAILURES as error:
            if hardware.active() and isinstance(stream, VideoStream):
                raise hardware.HardwareError(f"the GPU's decoder stopped ({said(error)})") from error
            if strict:
                raise MediaError("corrupt", f"cannot be decoded: {said(error)}") from error
            _lost(findings, stream, packet)
            continue
        for frame in frames:
            if key_time is None or frame.time is None or frame.time >= key_time - 1e-6:
                yield frame


def _packets(
    container: InputContainer, stream: VideoStream | AudioStream, strict: bool, joins: Joins | None
) -> Iterator[Packet]:
    """Yield the packets of a stream with their times on the file's one clock."""
    packets = packets_of(container, stream)
    number = 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except FAILURES as error:
            if strict:
                raise MediaError("corrupt", f"cannot be read to its end: {said(error)}") from error
            return
        if joins is not None and joins.several and packet.size:
            ticks = round(joins.shift(stream, number) / float(packet.time_base or 1))
            packet.pts = packet.pts + ticks if packet.pts is not None else None
            packet.dts = packet.dts + ticks if packet.dts is not None else None
        number += bool(packet.size)
        yield packet


def _lost(findings: Findings, stream: VideoStream | AudioStream, packet: Packet) -> None:
    if isinstance(stream, VideoStream):
        findings.lost_frames += 1
    else:
        findings.lost_sound_s += float((packet.duration or 0) * (packet.time_base or 0))
