"""The sound of a file from its first sample on."""

from __future__ import annotations

import math
from collections.abc import Iterator

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer

from avzsl.media.decoding import decode
from avzsl.media.errors import FAILURES, MediaError, said

# A hole in the sound of up to this many seconds is silence; more is a broken timestamp.
MAX_GAP_S = 10.0
# Timestamps of sound are rounded; a smaller disagreement is no hole.
MIN_GAP_S = 0.05


def decode_audio(
    container: InputContainer, stream: AudioStream, rate: int
) -> Iterator[tuple[float | None, np.ndarray]]:
    """Yield (time in seconds or None, int16 mono samples at `rate`) chunk by chunk.

    FFmpeg's own resampler with its defaults mixes and resamples, as the ffmpeg command does. A change of format inside
    the stream starts a new resampler. Times are those of the decoded frames; chunk and frame boundaries differ, so a
    time is given with the first chunk after each decoded frame whose resampler held nothing back.
    """
    if stream.codec_context is None:
        raise MediaError("corrupt", "no decoder for its audio stream")
    resampler: av.AudioResampler | None = None
    kind: tuple[object, ...] | None = None
    for frame in decode(container, stream, strict=False):
        time = frame.time
        frame.pts = None  # the resampler must neither fill nor drop: holes are the reader's business
        this = (frame.format.name, frame.layout.name, frame.sample_rate)
        if this != kind:
            if resampler is not None:
                yield None, _flush(resampler)
            resampler, kind = av.AudioResampler(format="s16", layout="mono", rate=rate), this
        assert resampler is not None
        try:
            pieces = [piece.to_ndarray().reshape(-1) for piece in resampler.resample(frame)]
        except FAILURES as error:
            raise MediaError("corrupt", f"its sound cannot be resampled: {said(error)}") from error
        yield time, np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    if resampler is not None:
        yield None, _flush(resampler)


def decode_audio_on_time(
    container: InputContainer, stream: AudioStream, rate: int
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield (time, int16 mono samples) with holes of 0.05 to 10 s in the timestamps filled by silence.

    `time` is that of the first sample of the chunk on the container's clock. Samples count from the first timestamp
    on; jumps back and jumps of more than 10 s are broken timestamps and change nothing.
    """
    begin, samples = None, 0
    for time, chunk in decode_audio(container, stream, rate):
        if begin is None:
            begin = time if time is not None and math.isfinite(time) else 0.0
        elif time is not None:
            hole = time - begin - samples / rate
            if MIN_GAP_S < hole <= MAX_GAP_S:
                silence = np.zeros(round(hole * rate), np.int16)
                yield begin + samples / rate, silence
                samples += silence.size
        if chunk.size:
            yield begin + samples / rate, chunk
        samples += chunk.size


def _flush(resampler: av.AudioResampler) -> np.ndarray:
    try:
        pieces = [piece.to_ndarray().reshape(-1) for piece in resampler.resample(None)]
    except FAILURES:  # a resampler that never saw a frame has nothing to flush
        pieces = []
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
