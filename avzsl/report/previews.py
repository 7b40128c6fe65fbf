"""Short, small copies of clips for the page: a moving preview, a picture and a spectrogram."""

from __future__ import annotations

import base64
import io
import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from avzsl.media.display import Reformat, orientation, upright
from avzsl.media.errors import MediaError
from avzsl.media.opening import open_container
from avzsl.media.streams import choose_streams
from avzsl.report.spectrogram import MELS, RATE, log_mel

logger = logging.getLogger(__name__)

SECONDS = 3.0
WIDTH = 144  # pixels
FPS = 10
# The page stays under 10 MB: what plotly.js leaves, with room for tables. Base64 adds a third.
VIDEO_BYTES = 2_500_000
PICTURE_BYTES = 1_200_000


@dataclass(frozen=True)
class Preview:
    """Encoded files; None where the stream is missing."""

    video: bytes  # mp4, H.264 and AAC
    picture: bytes | None  # JPEG
    spectrogram: bytes | None  # JPEG


def make_preview(path: Path) -> Preview:
    """Decode the first seconds of a media file and encode them small.

    Raises av.FFmpegError, OSError or ValueError if the file cannot be read as video and sound.
    """
    try:
        frames, sound = _frames(path), _sound(path)
    except MediaError as error:
        raise ValueError(error.reason) from error
    if not frames and not len(sound):
        raise ValueError("neither picture nor sound could be decoded")
    return Preview(
        _encode(frames, sound),
        _jpeg(Image.fromarray(frames[len(frames) // 2])) if frames else None,
        _spectrogram(sound) if len(sound) >= RATE // 10 else None,
    )


def _frames(path: Path) -> list[np.ndarray]:
    """Return RGB frames at FPS, WIDTH wide, of the first SECONDS."""
    frames: list[np.ndarray] = []
    with open_container(path) as container:
        stream = choose_streams(container).video
        if stream is None:
            return frames
        first: float | None = None
        reformat = Reformat()
        for frame in container.decode(stream):
            time = frame.time if frame.time is not None else len(frames) / FPS
            first = time if first is None else first
            if time - first >= SECONDS:
                break
            if time - first + 1e-6 >= len(frames) / FPS:
                height = max(2, min(2 * WIDTH, round(WIDTH * frame.height / max(frame.width, 1) / 2) * 2))
                pixels = upright(reformat(frame, WIDTH, height), orientation(frame))
                frames.append(np.ascontiguousarray(pixels))
    # A stream may change its size on the way; an encoder may not.
    return [f for f in frames if f.shape == frames[0].shape]


def _sound(path: Path) -> np.ndarray:
    """Return mono int16 samples at RATE of the first SECONDS."""
    parts: list[np.ndarray] = []
    with open_container(path) as container:
        stream = choose_streams(container).audio
        if stream is None:
            return np.empty(0, np.int16)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        total = 0
        for frame in container.decode(stream):
            for out in resampler.resample(frame):
                part = out.to_ndarray()[0]
                parts.append(part)
                total += len(part)
            if total >= SECONDS * RATE:
                break
    return np.concatenate(parts)[: int(SECONDS * RATE)] if parts else np.empty(0, np.int16)


def _encode(frames: list[np.ndarray], sound: np.ndarray) -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = audio = None
        if frames:
            # One thread: the same bytes on every machine.
            video = container.add_stream(
                "libx264", rate=FPS, options={"crf": "33", "preset": "veryfast", "threads": "1"}
            )
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuv420p"
        if len(sound):
            audio = container.add_stream("aac", rate=RATE, layout="mono", bit_rate=24_000)
        if video is not None:
            for index, picture in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, FPS)
                container.mux(video.encode(frame))
            container.mux(video.encode())
        if audio is not None:
            for start in range(0, len(sound), 1024):
                block = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(sound[None, start : start + 1024]), "s16", "mono"
                )
                block.sample_rate, block.pts, block.time_base = RATE, start, Fraction(1, RATE)
                container.mux(audio.encode(block))
            container.mux(audio.encode())
    return stream.getvalue()


def _spectrogram(sound: np.ndarray) -> bytes:
    """Return a log-mel spectrogram, time to the right, low frequencies below, the loudest white."""
    grey = log_mel(sound)[::-1]
    return _jpeg(Image.fromarray((255 * grey).astype(np.uint8)).resize((WIDTH, 2 * MELS)))


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=60)
    return stream.getvalue()


def data_url(kind: str, content: bytes) -> str:
    """Return `content` as a data URL of media type `kind`."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
