"""The two tracks of a cut: H.264 and AAC in mp4, time 0 at the start of the segment."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from avzsl.media.display import colour_matrix, orientation, upright
from avzsl.media.pictures import Picture, luma, same_picture

_TICKS = 90000
# Rounding of container time stamps.
GRACE_S = 1e-3
_AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_FROZEN_S = 1.0
# Colour matrices, primaries and transfers that mean nothing: RGB, unspecified, reserved.
_UNTAGGED = {0, 2, 3}


class PictureTrack:
    """Encodes the pictures of the segment: upright, with the source's colour matrix and range."""

    def __init__(
        self, result: OutputContainer, source: VideoStream, first: Picture, start: float, end: float | None, crf: int
    ) -> None:
        rate = source.average_rate or source.guessed_rate or Fraction(25)
        rate = rate if 0 < rate <= 1000 else Fraction(25)
        self._frame_s = float(1 / rate)
        self._start, self._end = start, float("inf") if end is None else end
        self._result = result
        options = {"preset": "veryfast", "crf": str(crf), "g": "50"}
        self._out = result.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001), options=options)
        frame = first.frame
        # x264 takes even sizes; a column or row less shows nothing.
        self._size = frame.width // 2 * 2 or 2, frame.height // 2 * 2 or 2
        turned = orientation(frame)[0]
        self._out.width, self._out.height = self._size[::-1] if turned else self._size
        self._out.pix_fmt = "yuv420p"
        context = self._out.codec_context
        context.time_base = Fraction(1, _TICKS)
        aspect = source.sample_aspect_ratio
        if aspect:
            context.sample_aspect_ratio = 1 / aspect if turned else aspect
        self._rgb = int(frame.colorspace) == 0 or frame.format.is_rgb
        self._full = not self._rgb and (int(frame.color_range) == 2 or frame.format.name.startswith("yuvj"))
        if not self._rgb:
            for name in ("colorspace", "color_primaries", "color_trc"):
                if (value := int(getattr(frame, name))) not in _UNTAGGED:
                    setattr(context, name, value)
            context.color_range = int(ColorRange.JPEG if self._full else ColorRange.MPEG)
        self._reformatter = VideoReformatter()
        self._last: VideoFrame | None = None
        self._last_ticks = -1
        self._luma = luma(frame).copy()
        self.frames, self.moved, self.frozen_s = 0, False, 0.0
        self.until = start
        self.done = False

    def take(self, picture: Picture | None) -> None:
        """Encode the next picture of the source; None: there is no more."""
        if picture is None or picture.time >= self._end - GRACE_S:
            self.done = True
            return
        begin = max(picture.time, self._start)
        self.moved = self.moved or not same_picture(self._luma, luma(picture.frame))
        self.until = max(self.until, min(picture.until, self._end))
        if self.until - begin > max(_FROZEN_S, 3 * self._frame_s):
            self.frozen_s += self.until - begin - self._frame_s
        self.done = picture.last or picture.until >= self._end - GRACE_S
        self._last = self._converted(picture.frame)
        self._encode(self._last, begin)
        if self.done and self.until - begin > 1.5 * self._frame_s:
            # A player ends with the last frame's nominal length: show it again, so that it stays on show.
            self._encode(self._last, self.until - self._frame_s)

    def close(self) -> None:
        """Write what the encoder holds back."""
        if self.frames:
            self._result.mux(self._out.encode())

    def _encode(self, image: VideoFrame, time: float) -> None:
        self._last_ticks = max(round((time - self._start) * _TICKS), self._last_ticks + 1)
        image.pts, image.time_base = self._last_ticks, Fraction(1, _TICKS)
        image.pict_type = PictureType.NONE
        self.frames += 1
        self._result.mux(self._out.encode(image))

    def _converted(self, frame: VideoFrame) -> VideoFrame:
        matrix = Colorspace.ITU601 if self._rgb else colour_matrix(frame)
        spread = ColorRange.JPEG if self._full else ColorRange.MPEG
        image = self._reformatter.reformat(
            frame, self._size[0], self._size[1], "yuv420p", src_colorspace=matrix, dst_colorspace=matrix,
            src_color_range=None if self._rgb else spread, dst_color_range=spread, threads=1,
        )  # fmt: skip
        turn = orientation(frame)
        if any(turn):
            planes = [upright(plane, turn) for plane in _planes(image)]
            turned = av.VideoFrame.from_ndarray(
                np.concatenate([plane.reshape(-1) for plane in planes]).reshape(-1, planes[0].shape[1]),
                format="yuv420p",
            )
            return turned
        return image


def _planes(image: VideoFrame) -> list[np.ndarray]:
    return [
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)[:, : plane.width] for plane in image.planes
    ]


def aac_format(rate: int, layout: str | None) -> tuple[int, str]:
    """Return rate and layout in which sound is encoded: its own where AAC takes them, 48 kHz and mono otherwise."""
    rate = rate if rate in _AAC_RATES else 48000
    # PyAV 18.1 reads beyond the planes of a frame of eight.
    if layout is not None and av.AudioLayout(layout).nb_channels < 8:
        trial = av.CodecContext.create("aac", "w")
        trial.sample_rate, trial.layout, trial.format = rate, layout, "fltp"
        trial.time_base = Fraction(1, rate)
        try:
            trial.open()
            return rate, layout
        except (av.FFmpegError, ValueError):
            pass
    return rate, "mono"


class SoundTrack:
    """Encodes the samples of the segment."""

    def __init__(self, result: OutputContainer, rate: int, layout: str, start: float, end: float | None) -> None:
        self._start, self._rate = start, rate
        self._limit = None if end is None else round((end - start) * rate)
        self._result = result
        self._out = result.add_stream("aac", rate=rate, layout=layout)
        self._out.bit_rate = 96_000 * min(2, av.AudioLayout(layout).nb_channels)
        self._layout = layout
        self.samples = 0
        self.heard = False
        self.done = False

    @property
    def until(self) -> float:
        return self._start + self.samples / self._rate

    def take(self, chunk: tuple[float, np.ndarray] | None) -> None:
        """Encode the next samples of the source, which follow each other; None: there are no more."""
        if chunk is None:
            self.done = True
            return
        time, wave = chunk
        at = round((time - self._start) * self._rate)
        if at < self.samples:
            wave = wave[:, self.samples - at :]
        elif not self.samples and at:  # sound that begins later than the segment
            lead = at if self._limit is None else min(at, self._limit)
            self._encode(np.zeros((wave.shape[0], lead), np.float32))
        if self._limit is not None and self.samples + wave.shape[1] >= self._limit:
            wave = wave[:, : self._limit - self.samples]
            self.done = True
        self._encode(wave)

    def _encode(self, wave: np.ndarray) -> None:
        self.heard = self.heard or bool(wave.any())
        for begin in range(0, wave.shape[1], 1 << 16):
            part = np.ascontiguousarray(wave[:, begin : begin + (1 << 16)])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self.samples, Fraction(1, self._rate)
            self.samples += part.shape[1]
            self._result.mux(self._out.encode(frame))

    def close(self) -> None:
        """Write what the encoder holds back."""
        if self.samples:
            self._result.mux(self._out.encode())
