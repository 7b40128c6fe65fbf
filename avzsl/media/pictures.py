"""The pictures of a file in the order in which they are shown, and from when to when each is on show."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avzsl.media import hardware
from avzsl.media.clock import BACK_S, Joins
from avzsl.media.decoding import decode
from avzsl.media.errors import MediaError
from avzsl.media.failures import FAILURES
from avzsl.media.findings import Findings
from avzsl.media.sparing import Sparing

# Pixels of the largest frame that is decoded: 8K (7680 x 4320) and a little more.
MAX_PIXELS = 40_000_000
# A gap between pictures is noted beyond this.
_FROZEN_S = 1.0
_STILL_LEVELS = 6


@dataclass(frozen=True)
class Picture:
    """A frame that is on show in [time, until), seconds on the container's clock."""

    frame: VideoFrame
    time: float
    until: float
    last: bool


def decode_video(
    container: InputContainer,
    stream: VideoStream,
    *,
    strict: bool,
    joins: Joins | None = None,
    findings: Findings | None = None,
    sought: bool = False,
    sparing: Sparing | None = None,
) -> Iterator[VideoFrame]:
    """Yield the frames of a stream in the decoder's order, one thread (see `decoding.decode` for the options).

    Raises MediaError("too_large") for a frame above 8K, HardwareError where a GPU is to decode and cannot.
    """
    if stream.codec_context is None:
        raise MediaError("corrupt", "no decoder for its video stream")
    hardware.check(stream)
    stream.thread_type = "NONE"
    with contextlib.suppress(*FAILURES):
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        raise MediaError("too_large", f"its frames are {stream.codec_context.width} x {stream.codec_context.height}")
    frames = decode(container, stream, strict=strict, joins=joins, findings=findings, sought=sought, sparing=sparing)
    for frame in frames:
        if frame.width * frame.height > MAX_PIXELS:
            raise MediaError("too_large", f"its frames are {frame.width} x {frame.height}")
        if frame.width and frame.height:
            yield hardware.as_decoded(frame)


def shown_pictures(
    container: InputContainer,
    stream: VideoStream,
    findings: Findings,
    *,
    joins: Joins | None = None,
    sought: bool = False,
    sparing: Sparing | None = None,
) -> Iterator[Picture]:
    """Yield every picture with the time for which it is on show: until the next one, the last as long as the file says.

    One frame of look-ahead. A timestamp that goes back a little cannot be obeyed: such a frame follows at once. One that
    goes back by more than a second belongs to another clock, and the frame is lost. With `sparing` some pictures that nobody
    looks at are missing, and the one before stays in their place.
    """
    step = float(1 / stream.average_rate) if stream.average_rate else 1 / 25
    base = float(stream.time_base) if stream.time_base else 0.0
    shown: VideoFrame | None = None
    time, first = 0.0, np.zeros((0, 0), np.uint8)
    frames = decode_video(
        container, stream, strict=False, joins=joins, findings=findings, sought=sought, sparing=sparing
    )
    for frame in frames:
        findings.frames += sparing.passed(frame.pts) if sparing is not None else 0
        begin = frame.pts * base if frame.pts is not None else time + (step if shown is not None else 0.0)
        if shown is not None and begin < time - BACK_S:
            findings.lost_frames += 1
            continue
        findings.frames += 1
        findings.lost_frames += frame.is_corrupt
        if shown is not None:
            begin = max(begin, time)
            if begin - time > max(_FROZEN_S, 3 * step):
                findings.frozen_s += begin - time - step
            findings.moved = findings.moved or not same_picture(first, luma(frame))
            yield Picture(shown, time, begin, last=False)
        else:
            first = luma(frame).copy()
        shown, time = frame, begin
    if shown is not None:
        yield Picture(shown, time, time + _held(container, stream, shown, time, step, findings.frames), last=True)


def _held(
    container: InputContainer, stream: VideoStream, frame: VideoFrame, time: float, step: float, frames: int
) -> float:
    """Return for how long the last picture is on show: its stated duration, an only picture to the container's end."""
    duration = frame.duration
    held = float(duration * stream.time_base) if duration and stream.time_base else step
    if frames == 1 and container.duration:
        held = max(held, (container.duration + (container.start_time or 0)) / av.time_base - time)
    return held if held > 0 and math.isfinite(held) else min(step, 1.0)


def luma(frame: VideoFrame) -> np.ndarray:
    """Return the bytes of a frame's first plane without what fills its lines up, (rows, columns)."""
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width]


def same_picture(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether no pixel of two planes differs by more than encoding a still picture again may change it."""
    if one.shape != other.shape:
        return False
    return int((np.maximum(one, other) - np.minimum(one, other)).max(initial=0)) <= _STILL_LEVELS
