"""The sound of a file from its first sample on, without holes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import InputContainer

from avzsl.media.clock import Joins
from avzsl.media.decoding import decode
from avzsl.media.errors import MediaError
from avzsl.media.failures import FAILURES, said
from avzsl.media.findings import Findings

# Timestamps of sound are rounded; a smaller disagreement is no hole.
MIN_GAP_S = 0.05
# A longer hole is believed up to the end that the container states; where it states none, up to the second number.
MAX_GAP_S, MAX_GAP_UNSTATED_S = 10.0, 60.0
# Formats of samples whose zero is silence.
_SIGNED = {"flt", "fltp", "dbl", "dblp", "s16", "s16p", "s32", "s32p"}
# FFmpeg's names for so many channels in their usual order.
_USUAL = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def usual_layout(layout: AudioLayout) -> str | None:
    """Return the name of a layout, a usual one where it only counts its channels; None for more than eight channels."""
    if layout.nb_channels > 8:
        return None
    return layout.name if layout.name and "channels" not in layout.name else _USUAL.get(layout.nb_channels)


class Converter:
    """Decoded frames -> samples at one rate: int16 mono (n,), or with a `layout` float32 (channels, n) in [-1, 1].

    FFmpeg's own resampler with its defaults mixes and resamples, as the ffmpeg command does. A frame of another layout
    than the one asked for is mixed to mono, as it is where everything is, and given to every channel. A change of format
    inside the stream starts a new resampler.
    """

    def __init__(self, rate: int, layout: str | None = None) -> None:
        self.rate, self._layout = rate, layout
        self._channels = av.AudioLayout(layout).nb_channels if layout else 0
        self._resampler: av.AudioResampler | None = None
        self._kind: tuple[object, ...] | None = None
        self._mixed = True
        self._usual: str | None = None

    def __call__(self, frame: AudioFrame) -> np.ndarray:
        """Return what a frame gives, after what the one before it held back."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        before = self.flush() if kind != self._kind else self._empty
        if self._resampler is None:
            self._kind = kind
            self._usual = usual_layout(frame.layout)
            self._mixed = self._layout is None or self._usual != self._layout
            target = ("s16", "mono") if self._mixed else ("fltp", self._layout)
            self._resampler = av.AudioResampler(format=target[0], layout=target[1], rate=self.rate)
        if self._usual is None:
            frame = _averaged(frame)
        frame.pts = None  # the resampler must neither fill nor drop: holes are the reader's business
        try:
            return np.concatenate([before, *map(self._samples, self._resampler.resample(frame))], axis=-1)
        except FAILURES as error:
            raise MediaError("corrupt", f"its sound cannot be resampled: {said(error)}") from error

    def flush(self) -> np.ndarray:
        """Return what the resampler holds back, and forget it."""
        resampler, self._resampler = self._resampler, None
        if resampler is None:
            return self._empty
        try:
            pieces = [self._samples(piece) for piece in resampler.resample(None)]
        except FAILURES:  # a resampler that never saw a frame has nothing to flush
            pieces = []
        return np.concatenate([self._empty, *pieces], axis=-1)

    @property
    def _empty(self) -> np.ndarray:
        return np.zeros((self._channels, 0), np.float32) if self._layout else np.zeros(0, np.int16)

    def _samples(self, piece: Any) -> np.ndarray:
        samples: np.ndarray = piece.to_ndarray()
        if self._layout is None:
            return samples.reshape(-1)
        return (samples.reshape(1, -1) / np.float32(32768)).repeat(self._channels, 0) if self._mixed else samples


def _averaged(frame: AudioFrame) -> AudioFrame:
    """Return the mean of more than eight channels: FFmpeg has no rule to mix them, and PyAV no way to read their planes."""
    frame.pts = None
    packed = av.AudioResampler(format="flt", layout=frame.layout, rate=frame.sample_rate).resample(frame)
    values = np.concatenate([piece.to_ndarray().reshape(-1, frame.layout.nb_channels) for piece in packed])
    mono = av.AudioFrame.from_ndarray(np.ascontiguousarray(values.mean(axis=1)[None]), format="fltp", layout="mono")
    mono.sample_rate = frame.sample_rate
    return mono


def _weigh(frame: AudioFrame, findings: Findings) -> None:
    """Add the energies of mean and difference of a frame of two channels."""
    if frame.layout.nb_channels != 2 or frame.format.name not in _SIGNED:
        return
    values = frame.to_ndarray()
    left, right = (values if frame.format.is_planar else values.reshape(-1, 2).T).astype(np.float32)
    mean, difference = left + right, left - right
    findings.mean_energy += float(mean @ mean)
    findings.difference_energy += float(difference @ difference)


def decode_audio(
    container: InputContainer,
    stream: AudioStream,
    rate: int | None,
    *,
    convert: Converter | None = None,
    joins: Joins | None = None,
    findings: Findings | None = None,
) -> Iterator[tuple[float | None, np.ndarray]]:
    """Yield (time in seconds or None, samples) chunk by chunk: int16 mono at `rate`, or what `convert` makes of them.

    Times are those of the decoded frames; chunk and frame boundaries differ, so a time is given with the first chunk after
    each decoded frame whose resampler held nothing back.
    """
    if stream.codec_context is None:
        raise MediaError("corrupt", "no decoder for its audio stream")
    convert = convert or Converter(rate or stream.rate)
    findings = findings or Findings()
    for frame in decode(container, stream, joins=joins, findings=findings):
        time = frame.time
        findings.sound_s += frame.samples / frame.sample_rate if frame.sample_rate else 0.0
        _weigh(frame, findings)
        chunk = convert(frame)
        findings.heard = findings.heard or bool(chunk.any())
        yield time, chunk
    yield None, convert.flush()


def decode_audio_on_time(
    container: InputContainer,
    stream: AudioStream,
    rate: int,
    *,
    convert: Converter | None = None,
    joins: Joins | None = None,
    findings: Findings | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time, samples) with holes of 0.05 s and more in the timestamps filled by silence.

    `time` is that of the first sample of the chunk on the container's clock. Samples count from the first timestamp on;
    jumps back, and jumps beyond the end that the container states, are broken timestamps and change nothing.
    """
    findings = findings or Findings()
    begin, samples, latest = None, 0, math.inf
    for time, chunk in decode_audio(container, stream, rate, convert=convert, joins=joins, findings=findings):
        if begin is None:
            begin = time if time is not None and math.isfinite(time) else 0.0
            latest = stated_end(container, stream, joins)
        elif time is not None:
            hole = time - begin - samples / rate
            within = time <= latest if latest < math.inf else hole <= MAX_GAP_UNSTATED_S
            if hole > MIN_GAP_S and (hole <= MAX_GAP_S or within):
                findings.silence_s += hole
                left = round(hole * rate)
                while left:  # piece by piece: a hole may last for hours
                    silence = np.zeros((*chunk.shape[:-1], min(left, 10 * rate)), chunk.dtype)
                    yield begin + samples / rate, silence
                    samples += silence.shape[-1]
                    left -= silence.shape[-1]
        if chunk.size:
            yield begin + samples / rate, chunk
        samples += chunk.shape[-1]


def stated_end(container: InputContainer, stream: AudioStream, joins: Joins | None = None) -> float:
    """Return the time at which a file ends as its container states it, with a second of grace; infinite if it does not."""
    if joins is not None and joins.several:
        return math.inf
    ends = [(container.duration + (container.start_time or 0)) / av.time_base] if container.duration else []
    if stream.duration and stream.time_base:
        ends.append(float((stream.duration + (stream.start_time or 0)) * stream.time_base))
    return max(ends) + 1.0 if ends else math.inf
