"""A clip as the released extraction of ClipClap cuts it: one frame in its middle, ten seconds in the middle of its sound.

What is kept on purpose: colours as BGR in a network of RGB, for UCF101 in addition inverted (256 less each value), the middle
counted in announced frames there and in decoded ones elsewhere. What is not kept: librosa's resampler, in whose place
FFmpeg's stands, and a picture of zeros for a clip of one frame, which has no features here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avzsl.media.opening import open_container
from avzsl.media.pictures import decode_video
from avzsl.media.sound import decode_audio
from avzsl.media.streams import pick_audio, pick_video
from avzsl.pretrained.clip_files import CLAPS
from extractors.base import ClipError, ClipInfo, Window
from extractors.clip_clap import Options
from extractors.clip_clap.windows import crop
from extractors.inversion import invert


def read_released(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield one sound int16 (n,), n of at most ten seconds, and one picture uint8 (224, 224, 3), of the whole clip.

    Raises ClipError where the released code has nothing to give.
    """
    clap = CLAPS[options.sound]
    with open_container(path) as sounds:
        stream = pick_audio(sounds, info)
        pieces = [chunk for _, chunk in decode_audio(sounds, stream, clap.rate)]
    wave = np.concatenate([np.zeros(0, np.int16), *pieces])
    info.audio_samples = wave.size
    if not wave.size:
        raise ClipError("corrupt", "its sound cannot be decoded")
    picture = middle_picture(path, options.colours == "inverted", info)
    length = info.duration_s = round(wave.size / clap.rate, 6)
    start = max(0, wave.size - clap.samples) // 2
    yield Window(0.0, length, wave[start : start + clap.samples], crop(picture))


def middle_picture(path: Path, inverted: bool, info: ClipInfo) -> np.ndarray:
    """Return the frame that the released code takes, as it takes it: uint8 (h, w, 3); raises ClipError if there is none."""
    with open_container(path, pictures=True) as container:
        stream = pick_video(container, info, first=True)
        announced = stream.frames
        info.frames = sum(1 for _ in decode_video(container, stream, strict=False))
    if inverted and not announced:
        raise ClipError("unsupported", "its container does not say how many frames it has")
    place = announced // 2 if inverted else info.frames // 2 - 1
    if info.frames == 0:
        raise ClipError("corrupt", "its picture cannot be decoded")
    if place < 0:
        raise ClipError("too_short", "has one frame; the released code takes the one before the middle")
    with open_container(path, pictures=True) as container:
        last = None
        for number, frame in enumerate(decode_video(container, pick_video(container, info, first=True), strict=False)):
            last = frame
            if number == place:
                break
        else:  # announced, never read: black in the released code's buffer
            assert last is not None
            return np.zeros((last.height, last.width, 3), np.uint8)
        pixels = np.asarray(last.to_ndarray(format="bgr24"))
    return invert(pixels) if inverted else pixels
