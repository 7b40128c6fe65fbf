"""Windows as the released extraction cuts them: frames by container ticks, sound by seconds, nothing corrected.

What is kept on purpose: BT.601 whatever the stream says, rotation ignored, a stride below one second, a tail that is never
read, sound that slides back to its last second. What is not kept: the released code puts a random other clip in the place
of one that it cannot read; here such a clip has no features and a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from avzsl.media.failures import FAILURES, said
from avzsl.media.opening import open_container
from avzsl.media.pictures import decode_video
from avzsl.media.sound import decode_audio
from avzsl.media.streams import pick_audio, pick_video, stated_length
from extractors.base import ClipError, ClipInfo, Window
from extractors.selavi.picture import resize_and_crop, taps
from extractors.selavi.plan import PlannedWindow, plan_released, released_frame_index
from extractors.selavi.raw import raw_window
from extractors.selavi.sound import SAMPLE_RATE, log_filterbank

# Streams that are not longer than this are left out by the released code's filter.
SHORTEST_S = 1.1


def read_released(path: Path, info: ClipInfo) -> Iterator[Window]:
    """Yield a clip's windows: `audio` float32 (1, 257, 99 or fewer), `visual` float32 (30, 112, 112, 3).

    Raises ClipError where the released code would leave the clip out or replace it.
    """
    for window, shown, sound in _read(path, info, lambda rgb: resize_and_crop(rgb, released=True)):
        yield Window(window.start_s, window.start_s + 1.0, log_filterbank(sound), np.stack(shown))


def read_released_raw(path: Path, info: ClipInfo) -> Iterator[Window]:
    """Yield the same windows for a device to prepare (`extractors.selavi.raw`)."""
    for window, shown, sound in _read(path, info, taps):
        yield raw_window(window.start_s, window.start_s + 1.0, sound, shown)


def _read(
    path: Path, info: ClipInfo, crop: Callable[[np.ndarray], Any]
) -> Iterator[tuple[PlannedWindow, list[Any], np.ndarray]]:
    """Yield each window's plan, what `crop` made of its 30 RGB frames, and its samples.

    Picture and sound are each decoded once, side by side; only frames and samples of unfinished windows are held.
    """
    with open_container(path, pictures=True) as pictures, open_container(path) as sounds:
        video_stream, audio_stream = pick_video(pictures, info, first=True), pick_audio(sounds, info)
        info.frames = info.audio_samples = 0
        fps, ticks = _check(info, video_stream, audio_stream)
        plan = plan_released(fps, video_stream.frames)
        if not plan:
            raise ClipError(
                "too_short", f"the released plan has no window for {info.duration_s:.2f} s; it needs two seconds"
            )
        frames = _frames(pictures, video_stream, plan, ticks, fps, info, _Converter(crop))
        samples = _slices(decode_audio(sounds, audio_stream, SAMPLE_RATE), plan, info)
        yield from zip(plan, frames, samples, strict=True)


def _check(info: ClipInfo, video: VideoStream, audio: av.AudioStream) -> tuple[float, float]:
    """Return frames a second and ticks a frame, or raise ClipError as the released filter and plan would."""
    length = stated_length(video, audio)
    if length is None or not video.frames or not info.fps or video.duration is None:
        raise ClipError(
            "unsupported", "the container states no length or number of frames, which the released plan is made from"
        )
    info.duration_s = round(length, 6)
    if info.duration_s <= SHORTEST_S:
        raise ClipError(
            "too_short", f"lasts {info.duration_s:.2f} s; the released filter asks for more than {SHORTEST_S} s"
        )
    return info.fps, video.duration / video.frames


@dataclass
class _Open:
    """A window whose frames are still arriving."""

    first: int  # ticks, both ends included
    last: int
    seen: int = 0  # frames so far
    kept: dict[int, Any] = field(default_factory=dict)  # by position, only those that the window shows


def _frames(
    container: InputContainer,
    stream: VideoStream,
    plan: list[PlannedWindow],
    ticks: float,
    fps: float,
    info: ClipInfo,
    convert: _Converter,
) -> Iterator[list[Any]]:
    """Yield each window's 30 frames, converted.

    A window holds the frames whose timestamp lies between its ticks, and the first one after them (the released loop
    stores it before it stops). It shows 30 positions, the last frame standing in for positions that do not exist.
    """
    index = released_frame_index(fps)
    wanted = set(index.tolist())
    waiting = [_Open(int(w.start_frame * ticks), int(w.end_frame * ticks)) for w in plan]
    newest: VideoFrame | None = None
    for frame in decode_video(container, stream, strict=True):
        if frame.pts is None:
            raise ClipError("corrupt", "its frames have no timestamps")
        info.frames = (info.frames or 0) + 1
        pixels: Any = None
        while waiting and waiting[0].last < frame.pts:
            if waiting[0].seen in wanted:
                pixels = convert(frame) if pixels is None else pixels
                waiting[0].kept[waiting[0].seen] = pixels
            waiting[0].seen += 1
            yield _show(waiting.pop(0), index, convert, frame)
        for window in waiting:
            if window.first > frame.pts:
                break
            if window.seen in wanted:
                pixels = convert(frame) if pixels is None else pixels
                window.kept[window.seen] = pixels
            window.seen += 1
        newest = frame
        if not waiting:
            return
    for window in waiting:
        yield _show(window, index, convert, newest)


def _show(window: _Open, index: np.ndarray, convert: _Converter, last: VideoFrame | None) -> list[Any]:
    if not window.seen or last is None:
        raise ClipError("corrupt", "a window has no frame: the file ends before its stated length")
    if window.seen <= int(index[-1]) and window.seen - 1 not in window.kept:
        window.kept[window.seen - 1] = convert(last)
    return [window.kept[min(position, window.seen - 1)] for position in index.tolist()]


class _Converter:
    """Decoded frame -> RGB by BT.601 whatever the frame says, swscale's default, which the released code never changes."""

    def __init__(self, crop: Callable[[np.ndarray], Any]) -> None:
        self._crop = crop
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Any:
        try:
            rgb = self._reformatter.reformat(
                frame,
                format="rgb24",
                src_colorspace=Colorspace.ITU601,
                dst_colorspace=Colorspace.ITU601,
                interpolation=Interpolation.BILINEAR,
                threads=1,
            )
        except FAILURES as error:
            raise ClipError("corrupt", f"a frame cannot be converted to RGB: {said(error)}") from error
        return self._crop(rgb.to_ndarray())


def _slices(
    chunks: Iterator[tuple[float | None, np.ndarray]], plan: list[PlannedWindow], info: ClipInfo
) -> Iterator[np.ndarray]:
    """Yield each window's int16 samples: a second, or what the released slicing leaves of a shorter stream.

    A window that would pass the end slides back to the last second. In a stream below one second that gives a negative
    start, which keeps its meaning in a Python slice: 30,000 samples give the last 14,100.
    """
    held, begin = np.zeros(0, np.int16), 0  # samples held, and the number of the first of them
    pieces: list[np.ndarray] = []
    total = 0
    ended = False
    for window in plan:
        start = round(window.start_s * SAMPLE_RATE)
        while not ended and total < start + SAMPLE_RATE:
            item = next(chunks, None)
            if item is None:
                ended = True
                break
            pieces.append(item[1])
            total += item[1].size
            info.audio_samples = total
        held = np.concatenate([held, *pieces])
        pieces = []
        if total == 0:
            raise ClipError("corrupt", "its sound cannot be decoded")
        if start + SAMPLE_RATE <= total:
            yield held[start - begin : start - begin + SAMPLE_RATE]
        elif total >= SAMPLE_RATE:
            yield held[-SAMPLE_RATE:]
        else:
            yield held[total - SAMPLE_RATE :]  # negative, as in the released code
        # Windows only move forward; a later one may still slide back to the last second.
        keep = min(max(start - begin, 0), max(held.size - SAMPLE_RATE, 0))
        held, begin = held[keep:], begin + keep
