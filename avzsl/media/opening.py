"""Open a container: plain files and safe demuxers only."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

import av
import av.format
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from avzsl.media import hardware
from avzsl.media.errors import MediaError
from avzsl.media.failures import FAILURES, said

# Demuxers that open further files or addresses, devices, or anything at all: a downloaded "video" in one of
# these formats could make FFmpeg read other files or call other hosts.
_REFERRING = frozenset(
    {
        "concat", "dash", "hls", "image2", "image2pipe", "imf", "lavfi", "rtp", "rtsp", "sap", "sdp", "tty", "bin",
        "xbin", "adf", "idf", "webm_dash_manifest", "vapoursynth", "avisynth", "tedcaptions", "ffmetadata", "data",
        "fbdev", "v4l2", "video4linux2,v4l2", "alsa", "pulse", "x11grab", "kmsgrab", "oss", "sndio", "jack",
        "android_camera", "avfoundation", "dshow", "gdigrab", "iec61883", "libcdio", "libdc1394", "openal",
    }
)  # fmt: skip

av.logging.set_level(None)  # broken files are reported as rows, not as FFmpeg's lines


@cache
def allowed_formats() -> str:
    """Return the demuxers that may open a media file, as FFmpeg's `format_whitelist`."""
    return ",".join(sorted(name for name in av.formats_available if name not in _REFERRING))


@contextlib.contextmanager
def open_container(file: Path | IO[bytes] | Any, *, pictures: bool = False) -> Iterator[InputContainer]:
    """Open a local file, or an object that reads and seeks, for decoding; for its `pictures` a GPU may be used (`hardware`).

    Raises MediaError("corrupt") for whatever FFmpeg cannot read, and for what is no regular file. A name is handed over as a
    file: URL with file as the only protocol, so that no name and no playlist inside a file reaches elsewhere.
    """
    source = _checked(file) if isinstance(file, Path) else file
    accel = hardware.accel() if pictures else None
    options = {"protocol_whitelist": "file", "format_whitelist": allowed_formats()}
    try:
        container = av.open(source, "r", options=options, metadata_errors="replace", hwaccel=accel)
    except (*FAILURES, EOFError) as error:
        if accel is not None:
            raise hardware.HardwareError(f"the GPU's decoder does not open it ({said(error)})") from error
        raise MediaError("corrupt", f"not a readable media file ({said(error)})") from error
    with container:
        yield container


def packets_of(container: InputContainer, *streams: Stream) -> Iterator[Packet]:
    """Yield the packets of some streams in the order of the file; raises one of `errors.FAILURES` where reading stops."""
    while True:
        try:
            yield from container.demux(*streams)
            return
        except IndexError:  # a packet of a stream that began in the middle of the file: PyAV stops, the file goes on
            continue


def is_broadcast(container: InputContainer) -> bool:
    """Whether a format's clock may jump and states no length: MPEG-TS, MPEG-PS and their kin."""
    return av.format.Flags.ts_discont in av.format.Flags(container.format.flags)


def _checked(path: Path) -> str:
    try:
        facts = path.stat()
    except OSError as error:
        raise MediaError("corrupt", f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise MediaError("corrupt", "is not a regular file")
    if facts.st_size == 0:
        raise MediaError("corrupt", "is empty (0 bytes)")
    return f"file:{path.absolute()}"
