"""SeLaVi's windows read by a make-believe GPU's decoder: FFmpeg's own, whose pictures come as a GPU gives them.

Everything but the kernels is the real thing. What a file's name holds happens to it: `stops` in the middle, `damaged`, `deep`
(ten bits), `crash`; the environment variable NVDEC=none leaves the card without a context.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avzsl.media import hardware
from avzsl.media.hardware import HardwareError
from extractors.base import ClipInfo, Window
from extractors.selavi import Options, load
from extractors.selavi import read as read_windows

__all__ = ["Options", "load", "read"]

_whole = hardware.as_decoded
_now: dict[str, Any] = {"path": "", "pictures": 0}


def start(card: int) -> None:
    if os.environ.get("NVDEC") == "none":
        raise HardwareError(f"GPU {card} gives no context to decode in (made up)")


def accelerated(stream: VideoStream) -> bool:
    return "slow" not in _now["path"]


def as_decoded(frame: VideoFrame) -> VideoFrame:
    if hardware.active():
        _now["pictures"] += 1
        late = _now["pictures"] > 40
        if "crash" in _now["path"] and late:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "stops" in _now["path"] and late:
            raise HardwareError("the GPU's decoder stopped (made up)")
        frame = frame.reformat(format="p010le" if "deep" in _now["path"] else "nv12")
    return _whole(frame)


if getattr(sys.modules["__main__"].__spec__, "name", None) == "extractors.worker":  # not in the tests' own process
    hardware.start, hardware.accelerated, hardware.as_decoded = start, accelerated, as_decoded


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield SeLaVi's windows."""
    _now.update(path=path.name, pictures=0)
    yield from read_windows(path, options, info)
