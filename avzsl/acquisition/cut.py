"""Cut a segment exactly: one decode from the key frame before it, one encode of its frames and samples alone.

Runs in a decoding process (`decoder.py`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.container import InputContainer, OutputContainer

from avzsl.media.errors import MediaError, said
from avzsl.media.opening import open_container
from avzsl.media.streams import choose_streams

# Decoding begins this long before the segment, so that audio codecs have settled when it starts.
_PREROLL_S = 0.25
# Where to try again when a container's index leads behind the start.
_FURTHER_BACK_S = (0.0, 12.0, float("inf"))
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


class _OvershotError(Exception):
    """Seeking led to a place after the start of the segment."""


def cut(
    inputs: list[Any], out: str, start_s: float | None, end_s: float | None, crf: int, tolerance_s: float
) -> dict[str, Any]:
    """Write the segment [start_s, end_s) of `inputs` to `out` as H.264 and AAC in mp4.

    `inputs` is one file with both streams, or one with video and one with audio (paths or readable objects). Time
    0 of the result is start_s: audio begins there to the sample, video with the frame nearest to it, so that both
    stay in step. Returns `status` (ok, no_audio_stream, no_video_stream, corrupt, shorter_than_segment) with
    `error`, and `start_error_s`: time of the first frame kept minus start_s, as measured in the source.
    """
    start = start_s or 0.0
    try:
        for back in _FURTHER_BACK_S:
            target = max(0.0, start - _PREROLL_S - back)
            try:
                return _cut(inputs, out, start, end_s, target, crf, tolerance_s)
            except _OvershotError:
                continue
        return {"status": "corrupt", "error": f"no picture can be decoded at {start:.2f} s"}
    except (av.FFmpegError, OSError, ValueError, EOFError) as error:
        if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}:
            return {"status": "disk", "errno": error.errno}  # type: ignore[union-attr]
        return {"status": "corrupt", "error": f"cannot be cut: {said(error)}"}
    except MediaError as error:
        return {"status": error.status, "error": error.reason}
    except MemoryError:
        return {"status": "corrupt", "error": "needs more memory to decode than any real clip"}


def _cut(
    inputs: list[Any], out: str, start: float, end: float | None, target: float, crf: int, tolerance_s: float
) -> dict[str, Any]:
    with ExitStack() as stack:
        containers = []
        for item in inputs:
            if hasattr(item, "seek"):
                item.seek(0)
            containers.append(stack.enter_context(open_container(item)))
        found = [choose_streams(container) for container in containers]
        video = next((streams.video for streams in found if streams.video is not None), None)
        audio = next((streams.audio for streams in reversed(found) if streams.audio is not None), None)
        if video is None or audio is None:
            kind = "video" if video is None else "audio"
            return {"status": f"no_{kind}_stream", "error": f"the file has no {kind} stream"}
        result = stack.enter_context(av.open(out, "w", format="mp4", options={"movflags": "+faststart"}))
        picture = _Picture(result, video, start, end, crf, whole=target == 0.0)
        sound = _Sound(result, audio, start, end)
        sources = []
        for container in containers:
            takers: dict[int, _Picture | _Sound] = {}
            if video.container is container:
                takers[video.index] = picture
            if audio.container is container:
                takers[audio.index] = sound
            sources.append(_frames(container, takers, target))
        for taker, time, frame in _merged(sources):
            if not taker.done:
                taker.take(time, frame)
            if picture.done and sound.done:
                break
        picture.close()
        sound.close()
    covered = min(picture.until, sound.until) - start
    asked = end - start if end is not None else None
    if picture.first is None or sound.samples == 0 or covered <= 0 or (asked and covered < asked - tolerance_s):
        length = f" of {asked:.2f} s" if asked else ""
        message = f"the video ends {max(0.0, covered):.2f} s into the segment{length}"
        return {"status": "shorter_than_segment", "error": message}
    return {"status": "ok", "start_error_s": picture.first - start}


def _frames(
    container: InputContainer, takers: dict[int, _Picture | _Sound], target: float
) -> Iterator[tuple[_Picture | _Sound, float, Any]]:
    """Yield (who takes it, time in seconds, frame) from about `target` on, in the order of the file."""
    # Broadcast containers begin at any time; players count from their beginning.
    begin = container.start_time / av.time_base if container.start_time else 0.0
    origin = begin if begin > 0.5 else 0.0
    if target > 0:
        container.seek(int((target + origin) * av.time_base))
    for packet in container.demux(*(container.streams[index] for index in takers)):
        try:
            frames: list[Any] = list(packet.decode())
        except av.InvalidDataError:
            continue  # a damaged packet costs its own frames; the length is checked at the end
        for frame in frames:
            if frame.time is not None:
                yield takers[packet.stream.index], frame.time - origin, frame


def _merged(
    sources: list[Iterator[tuple[_Picture | _Sound, float, Any]]],
) -> Iterator[tuple[_Picture | _Sound, float, Any]]:
    """Yield from several files by time, so that the muxer need not hold one of them back."""
    heads = {i: item for i, source in enumerate(sources) if (item := next(source, None)) is not None}
    while heads:
        i = min(heads, key=lambda j: heads[j][1])
        yield heads[i]
        following = next(sources[i], None)
        if following is None:
            del heads[i]
        else:
            heads[i] = following


class _Picture:
    """Takes the frames of the segment and encodes them."""

    def __init__(
        self, result: OutputContainer, source: Any, start: float, end: float | None, crf: int, whole: bool
    ) -> None:
        rate = source.average_rate or source.guessed_rate or Fraction(25)
        self._frame_s = float(1 / rate)
        self._start, self._end, self._whole = start, end, whole
        self._result = result
        options = {"preset": "veryfast", "crf": str(crf), "g": "50"}
        self._out = result.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options=options)
        # x264 takes even sizes; a column or row less shows nothing.
        self._out.width, self._out.height = source.width // 2 * 2, source.height // 2 * 2
        self._out.pix_fmt = "yuv420p"
        self._out.codec_context.time_base = Fraction(1, 90000)
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._last = -1
        self.first: float | None = None
        self.until = start
        self.done = False

    def take(self, time: float, frame: Any) -> None:
        if self._end is not None and time >= self._end - self._frame_s / 2:
            self.done = True
            self.until = max(self.until, min(time, self._end)) if self.first is not None else self.until
            return
        if time < self._start - self._frame_s / 2:
            self._whole = True  # decoding began early enough
            return
        if self.first is None:
            if not self._whole and time > self._start + self._frame_s:
                raise _OvershotError
            self.first = time
        self.until = time + self._frame_s
        image = self._reformatter.reformat(frame, self._out.width, self._out.height, "yuv420p")
        image.pict_type = av.video.frame.PictureType.NONE
        pts = max(round((time - self._start) * 90000), self._last + 1, 0)
        image.pts, image.time_base = pts, Fraction(1, 90000)
        self._last = pts
        self._result.mux(self._out.encode(image))

    def close(self) -> None:
        if self.first is not None:
            self._result.mux(self._out.encode())


class _Sound:
    """Takes the samples of the segment and encodes them."""

    def __init__(self, result: OutputContainer, source: Any, start: float, end: float | None) -> None:
        self._start, self._end = start, end
        self._result = result
        self._rate = source.rate if source.rate in _AAC_RATES else 48000
        layout = source.layout.name if source.channels <= 8 else "stereo"
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=self._rate)
        self._out = result.add_stream("aac", rate=self._rate, layout=layout)
        self._out.bit_rate = 96_000 * min(2, source.channels)
        self.samples = 0
        self.done = False

    @property
    def until(self) -> float:
        return self._start + self.samples / self._rate

    def take(self, time: float, frame: Any) -> None:
        for part in self._resampler.resample(frame):
            self._write(time, part.to_ndarray())
            time += part.samples / self._rate

    def _write(self, time: float, wave: np.ndarray) -> None:
        at = round((time - self._start) * self._rate)
        if self._end is not None and at >= (limit := round((self._end - self._start) * self._rate)):
            self.done = True
            return
        if at + wave.shape[1] <= self.samples:
            return
        # A hole in the stream becomes silence and an overlap is dropped: sound stays in step with the picture.
        # Less than 50 ms is the rounding of container time stamps.
        if abs(at - self.samples) > 0.05 * self._rate or self.samples == 0:
            if at > self.samples:
                self._encode(np.zeros((wave.shape[0], at - self.samples), wave.dtype))
            else:
                wave = wave[:, self.samples - at :]
        if self._end is not None and self.samples + wave.shape[1] >= limit:
            wave = wave[:, : limit - self.samples]
            self.done = True
        self._encode(wave)

    def _encode(self, wave: np.ndarray) -> None:
        for begin in range(0, wave.shape[1], 1 << 16):
            part = np.ascontiguousarray(wave[:, begin : begin + (1 << 16)])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=self._out.layout.name)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self.samples, Fraction(1, self._rate)
            self.samples += part.shape[1]
            self._result.mux(self._out.encode(frame))

    def close(self) -> None:
        if self.samples:
            self._result.mux(self._out.encode())
