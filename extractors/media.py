"""Open a file and decode one stream of it from first to last, once, in bounded memory."""

from __future__ import annotations

import contextlib
import math
import stat
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from extractors.base import ClipError, ClipInfo

# Pixels of the largest frame that is decoded: 8K (7680 x 4320) and a little more.
MAX_PIXELS = 40_000_000
# A hole in the sound of up to this many seconds is silence; more is a broken timestamp.
MAX_GAP_S = 10.0
# Timestamps of sound are rounded; a smaller disagreement is no hole.
MIN_GAP_S = 0.05

# What PyAV raises for a broken file: its own errors are not all OSErrors, and it may find a stream it does not know.
FAILURES = (av.error.FFmpegError, OSError, ValueError, IndexError)

av.logging.set_level(av.logging.PANIC)  # broken files are reported as rows, not as FFmpeg's lines


@contextlib.contextmanager
def open_container(path: Path) -> Iterator[InputContainer]:
    """Open a local file for reading.

    Raises ClipError("corrupt") for whatever FFmpeg cannot read, and for what is no regular file. The name is handed
    over as a file: URL with file as the only protocol, so that no name and no playlist inside a file reaches elsewhere.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ClipError("corrupt", f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ClipError("corrupt", "is not a regular file")
    if path.stat().st_size == 0:
        raise ClipError("corrupt", "is empty (0 bytes)")
    try:
        container = av.open(
            f"file:{path.absolute()}", container_options={"protocol_whitelist": "file"}, metadata_errors="replace"
        )
    except FAILURES as error:
        raise ClipError("corrupt", f"no decoder reads it: {_said(error)}") from error
    with container:
        yield container


def pick_video(container: InputContainer, info: ClipInfo, *, first: bool = False) -> VideoStream:
    """Return the video stream to decode and note its codec and frame rate in `info`.

    It is the first one that is not a cover picture, or simply the `first`. Raises ClipError("no_video_stream").
    """
    streams = list(container.streams.video)
    if not first:
        streams = [s for s in streams if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise ClipError("no_video_stream", "has no video stream")
    stream = streams[0]
    info.video_codec = stream.codec_context.name if stream.codec_context else None
    info.fps = float(stream.average_rate) if stream.average_rate else None
    return stream


def pick_audio(container: InputContainer, info: ClipInfo) -> AudioStream:
    """Return the audio stream to decode and note its codec in `info`.

    It is the one that the ffmpeg command takes by default: marked as default, then most channels, then first.
    Raises ClipError("no_audio_stream").
    """
    streams = list(container.streams.audio)
    if not streams:
        raise ClipError("no_audio_stream", "has no audio stream")
    default = av.stream.Disposition.default
    stream = max(streams, key=lambda s: (bool(s.disposition & default), _channels(s), -s.index))
    info.audio_codec = stream.codec_context.name if stream.codec_context else None
    return stream


def stated_length(*streams: VideoStream | AudioStream) -> float | None:
    """Return the length of the shortest stream in seconds, as the container states it, or None if it does not."""
    lengths = [float(s.duration * s.time_base) for s in streams if s.duration and s.time_base]
    return min(lengths) if len(lengths) == len(streams) else None


def decode_video(container: InputContainer, stream: VideoStream, *, strict: bool) -> Iterator[VideoFrame]:
    """Yield the frames of a stream in the decoder's order, one thread, without seeking.

    Not `strict`: a packet that cannot be decoded is left out. Strict: it ends the clip with ClipError("corrupt").
    Raises ClipError("too_large") for a frame above 8K.
    """
    if stream.codec_context is None:
        raise ClipError("corrupt", "no decoder for its video stream")
    stream.thread_type = "NONE"
    with contextlib.suppress(*FAILURES):
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    if stream.codec_context.width * stream.codec_context.height > MAX_PIXELS:
        raise ClipError("too_large", f"its frames are {stream.codec_context.width} x {stream.codec_context.height}")
    for frame in _decode(container, stream, strict=strict):
        if frame.width * frame.height > MAX_PIXELS:
            raise ClipError("too_large", f"its frames are {frame.width} x {frame.height}")
        if frame.width and frame.height:
            yield frame


def decode_audio(
    container: InputContainer, stream: AudioStream, rate: int
) -> Iterator[tuple[float | None, np.ndarray]]:
    """Yield (time in seconds or None, int16 mono samples at `rate`) chunk by chunk.

    FFmpeg's own resampler with its defaults mixes and resamples, as the ffmpeg command does. A change of format inside
    the stream starts a new resampler. Times are those of the decoded frames; chunk and frame boundaries differ, so a
    time is given with the first chunk after each decoded frame whose resampler held nothing back.
    """
    if stream.codec_context is None:
        raise ClipError("corrupt", "no decoder for its audio stream")
    resampler: av.AudioResampler | None = None
    kind: tuple[object, ...] | None = None
    for frame in _decode(container, stream, strict=False):
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
            raise ClipError("corrupt", f"its sound cannot be resampled: {_said(error)}") from error
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


def _decode(container: InputContainer, stream: VideoStream | AudioStream, *, strict: bool) -> Iterator:
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
                raise ClipError("corrupt", f"cannot be read to its end: {_said(error)}") from error
            return
        try:
            yield from packet.decode()
        except FAILURES as error:
            if strict:
                raise ClipError("corrupt", f"cannot be decoded: {_said(error)}") from error


def _channels(stream: AudioStream) -> int:
    return stream.codec_context.channels if stream.codec_context else 0


def _said(error: Exception) -> str:
    """Return FFmpeg's words without the name of the file, which has its own column."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
