"""Which streams of a container are its picture and its sound: one rule for probing, cutting and reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from avzsl.media.errors import MediaError
from avzsl.media.opening import is_broadcast

# A cover, a chapter's picture: never the picture of the recording.
_ATTACHED = Disposition.attached_pic | Disposition.timed_thumbnails
# Codecs of single images; a recording in one of them is chosen only where there is no other.
_IMAGES = frozenset({"png", "apng", "bmp", "gif", "tiff", "webp", "jpegls", "jpeg2000", "ppm", "tga"})


class Described(Protocol):
    """What is noted of the streams that were chosen."""

    fps: float | None
    video_codec: str | None
    audio_codec: str | None


@dataclass(frozen=True)
class Streams:
    """The picture and the sound of a container; None where there is none."""

    video: VideoStream | None
    audio: AudioStream | None


def choose_streams(container: InputContainer) -> Streams:
    """Return FFmpeg's default of each kind.

    Picture: a moving one before a single image, then the one marked as default, then the largest, then the first; attached
    pictures never. Sound: marked as default, then most channels, then first.
    """
    pictures = [s for s in container.streams.video if not s.disposition & _ATTACHED]
    video = max(pictures, key=lambda s: (not _still(s), _default(s), _pixels(s), -s.index), default=None)
    audio = max(container.streams.audio, key=lambda s: (_default(s), _channels(s), -s.index), default=None)
    return Streams(video, audio)


def pick_video(container: InputContainer, info: Described, *, first: bool = False) -> VideoStream:
    """Return the video stream to decode (`choose_streams`, or simply the `first`); note its codec and frame rate in `info`.

    Raises MediaError("no_video_stream").
    """
    stream = next(iter(container.streams.video), None) if first else choose_streams(container).video
    if stream is None:
        raise MediaError("no_video_stream", "the file has no video stream")
    info.video_codec = stream.codec_context.name if stream.codec_context else None
    info.fps = float(stream.average_rate) if stream.average_rate else None
    return stream


def pick_audio(container: InputContainer, info: Described) -> AudioStream:
    """Return the audio stream to decode (`choose_streams`) and note its codec in `info`; raises MediaError("no_audio_stream")."""
    stream = choose_streams(container).audio
    if stream is None:
        raise MediaError("no_audio_stream", "the file has no audio stream")
    info.audio_codec = stream.codec_context.name if stream.codec_context else None
    return stream


def stated_length(*streams: VideoStream | AudioStream) -> float | None:
    """Return the length of the shortest stream in seconds, as the container states it, or None if it does not."""
    lengths = [float(s.duration * s.time_base) for s in streams if s.duration and s.time_base]
    return min(lengths) if len(lengths) == len(streams) else None


def container_length(container: InputContainer) -> float | None:
    """Return the length in seconds that a container states for picture and sound together, or None.

    Broadcast formats state none (FFmpeg then estimates one from what is there), and where there are other streams, such as
    subtitles, the length may be theirs.
    """
    if is_broadcast(container) or not container.duration:
        return None
    if any(stream.type not in {"video", "audio"} for stream in container.streams):
        return None
    return container.duration / av.time_base


def _default(stream: VideoStream | AudioStream) -> bool:
    return bool(stream.disposition & Disposition.default)


def _still(stream: VideoStream) -> bool:
    """Whether a stream is one image rather than a recording, as far as its container tells."""
    if stream.codec_context is None or stream.disposition & Disposition.still_image:
        return True
    counted = stream.metadata.get("NUMBER_OF_FRAMES", "").strip()  # Matroska's own statistics
    return stream.frames == 1 or counted == "1" or stream.codec_context.name in _IMAGES


def _pixels(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height if stream.codec_context else 0


def _channels(stream: AudioStream) -> int:
    return stream.codec_context.channels if stream.codec_context else 0
