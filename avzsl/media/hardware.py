"""A GPU's decoder (NVDEC, through FFmpeg's own `cuda`) in the place of FFmpeg's, where it gives the same pictures.

Demuxer, time stamps and streams are those of the CPU: only the arithmetic moves. It is used for codecs whose standard fixes
every bit of a picture, and a picture leaves in the CPU's format, so that what is made of it is the same too. Whatever the
decoder does not take, or stumbles over, raises HardwareError, and the file is read by the CPU (`extractors.worker`).
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from typing import Any

from av.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avzsl.media.failures import FAILURES, said

# Codecs whose decoders agree in every bit. MPEG-2, MPEG-4 part 2 and VC-1 leave the rounding of their transform to the decoder.
EXACT = frozenset({"h264", "hevc", "vp8", "vp9"})
# FFmpeg's colour range of a picture that uses all 256 values.
_FULL = 2


class HardwareError(Exception):
    """The GPU's decoder does not read this file: `reason` is for people. No error of FFmpeg's: whoever reads lets it pass."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _State:
    """Of this process: its card's context, kept so that a file does not pay for one, and whether files are read by it now."""

    accel: HWAccel | None = None
    kept: Any = None
    on = False


def trouble() -> str | None:
    """Return why this machine's GPU cannot decode, None if nothing speaks against it. Asked without a GPU's context."""
    if "cuda" not in hwdevices_available():
        return "the FFmpeg in this PyAV knows no NVDEC; install PyAV's own wheel"
    try:
        ctypes.CDLL("libnvcuvid.so.1")
    except OSError:
        return (
            "the driver has no decoder (libnvcuvid.so.1 is not found); in a container let NVIDIA_DRIVER_CAPABILITIES hold "
            "`video`, elsewhere install the driver's decode library"
        )
    return None


def start(card: int) -> None:
    """Hold a context on a card for all files of this process; raises HardwareError where there is none to be had."""
    accel = HWAccel("cuda", card, allow_software_fallback=False, options={"primary_ctx": "1"})
    try:
        _State.kept = accel.create(Codec("h264", "r"))
    except (*FAILURES, NotImplementedError, RuntimeError) as error:
        raise HardwareError(f"GPU {card} gives no context to decode in ({said(error)})") from error
    _State.accel = accel


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Read the pictures of files in the block by the card of `start`."""
    _State.on = True
    try:
        yield
    finally:
        _State.on = False


def active() -> bool:
    """Return whether files are read by a GPU now."""
    return _State.on


def accel() -> HWAccel | None:
    """Return what `av.open` is to be told, None where the CPU decodes."""
    return _State.accel if _State.on else None


def check(stream: VideoStream) -> None:
    """Raise HardwareError for a stream that a GPU is to decode and does not, or not with the CPU's bits."""
    if not _State.on:
        return
    name = stream.codec_context.name
    if name not in EXACT:
        raise HardwareError(f"a GPU's decoder may round {name} in another way, or has none for it")
    if not accelerated(stream):
        raise HardwareError(f"its {name} is not opened by the GPU's decoder")


def accelerated(stream: VideoStream) -> bool:
    """Return whether a stream is decoded by a GPU."""
    return bool(stream.codec_context.is_hwaccel)


def as_decoded(frame: VideoFrame) -> VideoFrame:
    """Return a GPU's picture, NV12, in the CPU's format with the same values; others' as they are.

    swscale makes other RGB of NV12 than of the same values in planes, by up to a hundred levels where colours meet: it
    interpolates the colours of one and repeats those of the other. Raises HardwareError for what is not 8 bits in 4:2:0.
    """
    if not _State.on:
        return frame
    if frame.is_corrupt:
        raise HardwareError("the GPU's decoder says that a picture is damaged")
    if frame.format.name != "nv12":
        raise HardwareError(f"its pictures are {frame.format.name}; a GPU decodes 8 bits in 4:2:0 here")
    if int(frame.color_range) == _FULL:
        return frame.reformat(format="yuvj420p", src_color_range=_FULL, dst_color_range=_FULL)
    return frame.reformat(format="yuv420p")
