"""An extractor that only listens: the log-mel of a clip's whole sound, in a decoding process, for the training of the audio network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from avzsl.config.features import ExtractorOptions
from avzsl.contracts.errors import ConfigError
from extractors.base import ClipInfo, Networks, Window


class Options(ExtractorOptions):
    """There is nothing to choose."""


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield one window: dB frames of the whole sound, float16 (n, 128)."""
    from extractors.i3d_audiocnn.windows import hear

    frames = hear(path, info)
    yield Window(0.0, info.duration_s or 0.0, audio=frames.astype(np.float16))


def load(options: Options, device: str, threads: int, cache: Path) -> Networks:
    """Refuse: it has no networks."""
    raise ConfigError("extractor: extractors.i3d_audiocnn.hearing has no networks; use i3d_audiocnn")
