"""Write frames and a waveform as an mp4 file of H.264 and AAC, or lossless sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from avzsl.contracts.atomic import replacing

# Without lookahead: x264's looks at memory outside of very small pictures, so that the same clip is not the same twice.
_X264 = {"preset": "veryfast", "crf": "20", "x264-params": "rc-lookahead=0:mbtree=0:sync-lookahead=0"}


def write_mp4(
    path: str | Path,
    frames: np.ndarray | None,
    fps: int,
    wave: np.ndarray | None,
    sample_rate: int,
    lossless: bool = False,
) -> None:
    """Write one clip in one step; equal input gives equal bytes with one build of PyAV.

    `frames`: (n, height, width, 3) uint8 RGB, or None for a file without picture; `wave`: (samples,) float32 mono
    within -1..1, or None for a file without sound. `lossless` sound is ALAC of 16 bits: what AAC makes of a second depends
    on the seconds before it.
    """
    with (
        replacing(path) as temporary,
        # bitexact keeps library versions and times out of the file; one thread keeps the encoder's choices fixed.
        av.open(str(temporary), "w", format="mp4", container_options={"fflags": "+bitexact"}) as container,
    ):
        video: VideoStream | None = None
        audio: AudioStream | None = None
        if frames is not None:
            video = container.add_stream("libx264", rate=fps, options=_X264)
            video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            video.codec_context.thread_count = 1
            video.codec_context.flags |= av.codec.context.Flags.bitexact
        if wave is not None:
            audio = container.add_stream("alac" if lossless else "aac", rate=sample_rate, layout="mono")
            audio.codec_context.flags |= av.codec.context.Flags.bitexact
            if lossless:
                audio.format = av.AudioFormat("s16p")
        if video is not None and frames is not None:
            for i, picture in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = i, Fraction(1, fps)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if audio is not None and wave is not None:
            samples = np.round(wave * 32767).astype(np.int16) if lossless else wave
            sound = av.AudioFrame.from_ndarray(samples[None], format="s16p" if lossless else "fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = sample_rate, 0, Fraction(1, sample_rate)
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
