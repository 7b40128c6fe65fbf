"""A clip as the released extraction of AVCA's supplement and TCaF cuts it.

What is kept on purpose: colours as BGR, for UCF101 and VGGSound inverted (256 less each value); 16 frames after the other at
whatever rate the file has, called 25 a second; the last of them filled up by the networks with zeros after normalisation, and
before that, for UCF101 and VGGSound, by a black picture for each frame that the container announces and does not give; only
whole examples of sound. What is not kept: resampy, in whose place FFmpeg's resampler stands, and one name for all WAV files.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avzsl.media.opening import open_container
from avzsl.media.pictures import decode_video
from avzsl.media.sound import Converter, decode_audio, usual_layout
from avzsl.media.streams import pick_audio, pick_video
from extractors.base import ClipError, ClipInfo, Window
from extractors.c3d_vggish.picture import SIDE, resize_and_crop
from extractors.c3d_vggish.sound import EXAMPLE_SAMPLES, Examples
from extractors.inversion import invert
from extractors.log_mel import RATE

FRAMES, FPS = 16, 25


def read_released(path: Path, inverted: bool, info: ClipInfo) -> Iterator[Window]:
    """Yield the sounds and then the pictures of a clip; a second of sound and 16 frames are held.

    `visual` is uint8 BGR (1 to 16, 112, 112, 3). Raises ClipError where the released code has nothing to give.
    """
    yield from sounds(path, info)
    yield from pictures(path, inverted, info)


def sounds(path: Path, info: ClipInfo) -> Iterator[Window]:
    """Yield the whole examples of a clip's sound, the mean of its channels; raises ClipError if there is none."""
    heard = Examples()
    info.audio_samples = 0
    with open_container(path) as container:
        stream = pick_audio(container, info)
        # As many channels as there are, so that their mean is what it is there; FFmpeg would weigh them.
        convert = Converter(RATE, usual_layout(stream.layout))
        for _, chunk in decode_audio(container, stream, RATE, convert=convert):
            mono = chunk.mean(axis=0) if chunk.ndim == 2 else chunk / np.float32(32768)
            info.audio_samples += mono.size
            yield from heard.add(mono)
    info.duration_s = round(info.audio_samples / RATE, 6)
    if not info.audio_samples:
        raise ClipError("corrupt", "its sound cannot be decoded")
    if info.audio_samples < EXAMPLE_SAMPLES:
        raise ClipError("too_short", f"has {info.duration_s:g} s of sound; VGGish needs 0.975")


def pictures(path: Path, inverted: bool, info: ClipInfo) -> Iterator[Window]:
    """Yield windows of 16 frames; raises ClipError if there is no frame."""
    with open_container(path, pictures=True) as container:
        stream = pick_video(container, info, first=True)
        announced = stream.frames
        if inverted and not announced:
            raise ClipError("unsupported", "its container does not say how many frames it has")
        frames = decode_video(container, stream, strict=False)
        held: list[np.ndarray] = []
        info.frames = 0
        # The released buffer has a row for each announced frame and no more.
        for frame in itertools.islice(frames, announced if inverted else None):
            pixels = np.asarray(frame.to_ndarray(format="bgr24"))
            held.append(resize_and_crop(invert(pixels) if inverted else pixels))
            info.frames += 1
            if len(held) == FRAMES:
                yield _window(held, info.frames)
                held = []
    if not info.frames:
        raise ClipError("corrupt", "its picture cannot be decoded")
    if held:
        unread = min(FRAMES - len(held), announced - info.frames) if inverted else 0
        yield _window([*held, *[np.zeros((SIDE, SIDE, 3), np.uint8)] * unread], info.frames - len(held) + FRAMES)


def _window(frames: list[np.ndarray], end: int) -> Window:
    return Window((end - FRAMES) / FPS, end / FPS, visual=np.stack(frames))
