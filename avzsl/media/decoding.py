"""Demux and decode one stream of a file from first to last, once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from avzsl.media.errors import FAILURES, MediaError, said


def decode(container: InputContainer, stream: VideoStream | AudioStream, *, strict: bool) -> Iterator[Any]:
    """Demux and decode; a demuxer that gives up ends the stream, as a truncated file does."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except IndexError:  # a packet of a stream that began in the middle of the file: PyAV stops, the file goes on
            packets = container.demux(stream)
            continue
        except FAILURES as error:
            if strict:
                raise MediaError("corrupt", f"cannot be read to its end: {said(error)}") from error
            return
        try:
            yield from packet.decode()
        except FAILURES as error:
            if strict:
                raise MediaError("corrupt", f"cannot be decoded: {said(error)}") from error
