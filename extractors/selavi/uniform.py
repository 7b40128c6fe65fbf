"""Uniform windows: [0, 1), [1, 2) ... seconds, sound and picture cut at the same times from timestamps.

Second 0 is where both streams have begun, and the clip ends where the first of them ends. A last window of half a second
or more is kept: its picture holds the last frame and its sound ends in silence. A clip of half a second or more therefore
has at least one window, and no second of a clip is seen twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from extractors.base import ClipError, ClipInfo, Window
from extractors.media import (
    FAILURES,
    decode_audio_on_time,
    decode_video,
    open_container,
    pick_audio,
    pick_video,
    stated_length,
)
from extractors.selavi.picture import SIZE, resize_and_crop, short_side_size
from extractors.selavi.plan import FRAMES
from extractors.selavi.sound import SAMPLE_RATE, log_filterbank

# A window of half a second is kept; a millisecond of grace for what timestamps round away.
SHORTEST_S = 0.5 - 1e-3


def read_uniform(path: Path, info: ClipInfo, *, antialias: bool = False) -> Iterator[Window]:
    """Yield a clip's uniform windows: `audio` float32 (1, 257, 99), `visual` (30, 112, 112, 3).

    `visual` is normalised float32, or uint8 RGB with `antialias`. At most a second of either stream is held in memory.
    Raises ClipError where there is no window.
    """
    with open_container(path) as pictures, open_container(path) as sounds:
        video_stream, audio_stream = pick_video(pictures, info), pick_audio(sounds, info)
        info.frames = info.audio_samples = 0
        video = _Video(pictures, video_stream, info, antialias=antialias)
        audio = _Audio(sounds, audio_stream, info)
        first_picture, first_sound = video.begin(), audio.begin()
        zero = max(first_picture, first_sound)
        length = 0.0
        for second in range(10**9):
            samples = audio.take(zero + second)
            frames, seconds = video.take(zero + second)
            part = min(1.0, samples.size / SAMPLE_RATE, seconds)
            length = second + max(part, 0.0)
            if part < SHORTEST_S or frames is None:
                break
            padded = np.zeros(SAMPLE_RATE, np.int16)
            padded[: samples.size] = samples
            yield Window(float(second), length, log_filterbank(padded), frames)
            if part < 1.0:
                break
        info.duration_s = round(length, 6)
        stated = stated_length(video_stream, audio_stream)
        if stated is not None and length < stated - 1.0:
            info.note = f"only {length:.1f} of the stated {stated:.1f} s could be read"
        if length < SHORTEST_S:
            raise ClipError(
                "too_short", f"sound and picture together last {length:.2f} s; a window needs half a second"
            )


class _Audio:
    """The sound of a clip, second by second."""

    def __init__(self, container: InputContainer, stream: av.AudioStream, info: ClipInfo) -> None:
        self._chunks = decode_audio_on_time(container, stream, SAMPLE_RATE)
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
        needed = round((time - self._time) * SAMPLE_RATE) + SAMPLE_RATE
        while held < needed:
            try:
                _, chunk = next(self._chunks)
            except StopIteration:
                break
            pieces.append(chunk)
            held += chunk.size
            self._info.audio_samples = (self._info.audio_samples or 0) + chunk.size
            if held > 4 * SAMPLE_RATE and held < needed:  # a long way to go: keep only what can still be needed
                self._drop(pieces, held)
                pieces, held = [self._held], self._held.size
                needed = round((time - self._time) * SAMPLE_RATE) + SAMPLE_RATE
        whole = np.concatenate(pieces)
        start = max(round((time - self._time) * SAMPLE_RATE), 0)
        taken = whole[start : start + SAMPLE_RATE]
        self._held = whole[start + taken.size :]
        self._time += (start + taken.size) / SAMPLE_RATE
        return taken

    def _drop(self, pieces: list[np.ndarray], held: int) -> None:
        whole = np.concatenate(pieces)
        self._held = whole[-SAMPLE_RATE:]
        self._time += (held - self._held.size) / SAMPLE_RATE


class _Video:
    """The picture of a clip, second by second: 30 frames each, those on show in the middle of each 1/30 s."""

    def __init__(self, container: InputContainer, stream: VideoStream, info: ClipInfo, *, antialias: bool) -> None:
        self._frames = decode_video(container, stream, strict=False)
        self._time_base = float(stream.time_base) if stream.time_base else 0.0
        self._step = 1.0 / info.fps if info.fps else 1.0 / 25
        self._info = info
        self._convert = _Converter(antialias=antialias)
        self._shown: VideoFrame | None = None  # the frame on show at self._time
        self._time = 0.0
        self._next: VideoFrame | None = None
        self._next_time = 0.0
        self._pixels: np.ndarray | None = None  # self._shown, converted when first needed

    def begin(self) -> float:
        """Return the time of the first frame; raises ClipError if there is none."""
        self._advance()
        self._advance()
        if self._shown is None:
            raise ClipError("corrupt", "its picture cannot be decoded")
        return self._time

    def take(self, time: float) -> tuple[np.ndarray | None, float]:
        """Return the 30 frames of [time, time + 1), and for how many seconds of it there is a picture.

        After the last frame it is repeated; None where there is no picture at all.
        """
        chosen: list[np.ndarray] = []
        for slot in range(FRAMES):
            moment = time + (slot + 0.5) / FRAMES
            while self._next is not None and self._next_time <= moment:
                self._advance()
            if self._next is None and moment > self._end():
                break
            chosen.append(self._converted())
        seconds = self._end() - time if self._next is None else 1.0
        if not chosen:
            return None, min(seconds, 0.0)
        chosen += [chosen[-1]] * (FRAMES - len(chosen))
        return np.stack(chosen), min(seconds, 1.0)

    def _advance(self) -> None:
        """Show the next frame and decode the one after it."""
        if self._next is not None:
            self._shown, self._time, self._pixels = self._next, self._next_time, None
        frame = next(self._frames, None)
        if frame is not None:
            self._info.frames = (self._info.frames or 0) + 1
            expected = self._next_time + self._step if self._next is not None else 0.0
            time = frame.pts * self._time_base if frame.pts is not None else expected
            # A timestamp that goes back cannot be obeyed: such a frame follows at once.
            self._next_time = max(time, self._next_time) if self._next is not None else time
        self._next = frame

    def _end(self) -> float:
        """Return when the frame on show ends, if it is the last."""
        assert self._shown is not None
        duration = getattr(self._shown, "duration", None)
        # The container may claim any duration for its last frame; beyond a second it is no frame any more.
        held = duration * self._time_base if duration else self._step
        return self._time + (held if 0 < held <= 1.0 and math.isfinite(held) else min(self._step, 1.0))

    def _converted(self) -> np.ndarray:
        if self._pixels is None:
            assert self._shown is not None
            self._pixels = self._convert(self._shown)
        return self._pixels


class _Converter:
    """Decoded frame -> 112 x 112, with the stream's own colour matrix and range, and upright."""

    def __init__(self, *, antialias: bool) -> None:
        self._antialias = antialias
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        try:
            if self._antialias:
                return self._scaled(frame)
            return resize_and_crop(_upright(self._rgb(frame, None, None), frame.rotation))
        except FAILURES as error:
            raise ClipError("corrupt", f"a frame cannot be converted to RGB: {error}") from error

    def _rgb(self, frame: VideoFrame, width: int | None, height: int | None) -> np.ndarray:
        converted = self._reformatter.reformat(
            frame, width=width, height=height, format="rgb24", src_colorspace=_matrix(frame), dst_colorspace=Colorspace.ITU601,
            interpolation=Interpolation.BILINEAR, threads=1,
        )  # fmt: skip
        return converted.to_ndarray()

    def _scaled(self, frame: VideoFrame) -> np.ndarray:
        """Let swscale resize: its bilinear filter widens when it shrinks, which is antialiasing."""
        height, width = short_side_size(frame.height, frame.width)
        pixels = _upright(self._rgb(frame, width, height), frame.rotation)
        top, left = (pixels.shape[0] - SIZE) // 2, (pixels.shape[1] - SIZE) // 2
        return np.ascontiguousarray(pixels[top : top + SIZE, left : left + SIZE])


def _upright(pixels: np.ndarray, rotation: int) -> np.ndarray:
    """Turn by the display matrix, to the nearest quarter (degrees counter-clockwise)."""
    quarters = round(rotation / 90) % 4
    return np.rot90(pixels, quarters) if quarters else pixels


# Values of colour matrix in H.264 and FFmpeg (ISO/IEC 23091-2): what a frame says of itself.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


def _matrix(frame: VideoFrame) -> int:
    """Return the colour matrix of a frame; untagged ones are BT.601, as swscale assumes."""
    return _MATRICES.get(int(frame.colorspace), Colorspace.ITU601)
