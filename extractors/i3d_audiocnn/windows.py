"""A clip as I3D and the audio network take it: 16 frames in the middle of every second, overlapping segments of log-mel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from avzsl.media.clock import find_joins
from avzsl.media.display import Reformat, orientation, upright
from avzsl.media.opening import open_container
from avzsl.media.sound import decode_audio_on_time
from avzsl.media.streams import pick_audio
from extractors.base import ClipError, ClipInfo, Window
from extractors.i3d_audiocnn.sound import FRAMES, HOP, RATE, SEGMENT_HOP, Spectrogram, segments
from extractors.seconds import read_uniform_seconds

FPS, PICTURES = 25, 16
MIDDLE = range((FPS - PICTURES) // 2, (FPS + PICTURES) // 2)  # frames of a second
SHORT, SIDE = 256, 224
# A segment depends on 94 frames before and behind it; a multiple of its hop keeps the poolings where they are.
CONTEXT = 2 * SEGMENT_HOP


def read_clip(path: Path, info: ClipInfo) -> Iterator[Window]:
    """Yield the pictures of a clip and then its sounds; its sound is held as log-mel, 44 kB a second.

    A clip that has sound or picture alone gives windows of that. Raises ClipError where there is none.
    """
    front = Spectrogram()
    for second in read_uniform_seconds(path, info, RATE, FPS, Picture(), either=True, kept=MIDDLE):
        if second.samples is not None:
            front.add(second.samples / np.float32(32768))
        if second.frames is not None:
            yield Window(second.start, second.end, visual=second.frames)
    if front.samples:
        yield from cut(front.frames(), front.samples / RATE)


def cut(frames: np.ndarray, seconds: float) -> Iterator[Window]:
    """Yield the segments of dB frames (n, 128): float32 (up to 384, 128), with the frames that they depend on.

    What stands before a segment is `place_of` of it; a clip shorter than a segment is one.
    """
    for number in range(max(1, segments(len(frames)))):
        begin, start = max(0, number * SEGMENT_HOP - CONTEXT), number * SEGMENT_HOP * HOP / RATE
        audio = frames[begin : number * SEGMENT_HOP + FRAMES + CONTEXT]
        yield Window(start, min(seconds, start + FRAMES * HOP / RATE), audio=audio)


def place_of(start: float) -> int:
    """Return which segment of a window's frames is its own, from when it starts in seconds."""
    return min(round(start * RATE / HOP), CONTEXT) // SEGMENT_HOP


def hear(path: Path, info: ClipInfo) -> np.ndarray:
    """Return the dB frames of a clip's whole sound, float32 (n, 128), n >= 128; raises ClipError where there is none."""
    front = Spectrogram()
    with open_container(path) as container:
        joins = find_joins(container, path)
        stream = pick_audio(container, info)
        for _, chunk in decode_audio_on_time(container, stream, RATE, joins=joins):
            front.add(chunk / np.float32(32768))
    info.audio_samples = front.samples
    info.duration_s = round(front.samples / RATE, 6)
    if not front.samples:
        raise ClipError("corrupt", "its sound cannot be decoded")
    return front.frames()


class Picture:
    """Decoded frame -> upright RGB uint8 (224, 224, 3)."""

    def __init__(self) -> None:
        self._reformat = Reformat()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        return resize_and_crop(upright(self._reformat(frame), orientation(frame)))


def resize_and_crop(pixels: np.ndarray) -> np.ndarray:
    """Return the centre of a picture uint8 (h, w, 3) whose short side is made 256, bilinear and antialiased: (224, 224, 3)."""
    from PIL import Image

    height, width = pixels.shape[:2]
    short = min(height, width)
    high, wide = (SHORT * side // short for side in (height, width))
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize((wide, high), Image.Resampling.BILINEAR)
    top, left = (round((size - SIDE) / 2.0) for size in (high, wide))
    return np.asarray(resized)[top : top + SIDE, left : left + SIDE].copy()
