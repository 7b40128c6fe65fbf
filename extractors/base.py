"""What an extractor is: a function that reads windows from a file, and networks that turn windows into steps of features.

A window that has sound gives a step of sound, one that has a picture a step of picture; a pair gives both at once.

An extractor is one module with two functions, `read` and `load` (see `Extractor`), and the model of its options, `Options`.
`read` runs in decoding processes that never import torch; `load` runs once in the process that owns the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from avzsl.config import plugins
from avzsl.config.features import ExtractorOptions, FeaturesConfig
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.media.errors import MediaError
from avzsl.media.findings import Findings

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Window:
    """One window of a clip, as the networks take it: sound, picture, or a pair of both.

    `start` and `end` in seconds from the beginning of the clip; `audio` and `visual` in whatever shape and type the
    extractor's networks expect, without a batch axis. Sound and picture with steps of their own come in windows of
    their own, None where the other would be; a pair is one window. `more` are further arrays that the networks need to make
    something of a raw window (`Feed`).
    """

    start: float
    end: float
    audio: Any = None  # np.ndarray, or what a Feed made of it
    visual: Any = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def arrays(self) -> dict[str, Any]:
        """Return all arrays by name."""
        own = {name: value for name in MODALITIES if (value := getattr(self, name)) is not None}
        return own | dict(self.more)

    @classmethod
    def of(cls, start: float, end: float, arrays: Mapping[str, Any]) -> Window:
        """Return the window whose `arrays` these are."""
        more = {name: value for name, value in arrays.items() if name not in MODALITIES}
        return cls(start, end, arrays.get("audio"), arrays.get("visual"), more)


def sounds(windows: Sequence[Window]) -> list[Any]:
    """Return the sound of the windows that have any, in their order."""
    return [window.audio for window in windows if window.audio is not None]


def pictures(windows: Sequence[Window]) -> list[Any]:
    """Return the picture of the windows that have any, in their order."""
    return [window.visual for window in windows if window.visual is not None]


@dataclass
class ClipInfo:
    """What was read of a clip, filled while it is read; the fields are columns of the features table."""

    duration_s: float | None = None
    fps: float | None = None
    frames: int | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    audio_samples: int | None = None
    lost_frames: int | None = None
    lost_sound_s: float | None = None
    absent: str | None = field(default=None)  # of the streams, where the other was read alone: its FEATURE_STATUS
    note: str | None = field(default=None)  # something odd about a clip that was read all the same
    lost_share: float = 0.0  # of its frames or its sound, whichever is larger
    damage: str | None = None  # a sentence about what was lost
    decoder: str = "cpu"  # what decoded its pictures: cpu or cuda
    refused: str | None = None  # why the GPU's decoder, which was asked for, did not

    def found(self, findings: Findings) -> None:
        """Take over what was counted while decoding."""
        self.frames = findings.frames
        self.lost_frames, self.lost_sound_s = findings.lost_frames, round(findings.lost_sound_s, 3)
        self.lost_share, self.damage = findings.lost_share, findings.damage()

    def columns(self) -> dict[str, Any]:
        values = asdict(self)
        for name in ("note", "absent", "lost_share", "damage", "decoder", "refused"):  # for the reason, or the header
            del values[name]
        return values


# A clip gives no features: `status` is one of FEATURE_STATUS, `reason` a sentence for people.
ClipError = MediaError


Features: TypeAlias = "Callable[[], tuple[np.ndarray, np.ndarray]]"


class Feed(Protocol):
    """How raw windows reach networks on a device, straight from the memory that decoding processes write to.

    Networks with an attribute `feed` get the windows of their extractor's `read_raw` in the place of `read`: what was
    decoded, as small as it can be without a change of the result, for the device to make the rest of it.
    """

    def pin(self, memory: mmap) -> None:
        """Prepare a decoding process's memory for fast copies."""

    def unpin(self, memory: mmap) -> None:
        """Undo `pin`; nothing is copied from this memory any more."""

    def upload(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return a window's arrays on the device, all copied; called from several threads."""
        ...


class Networks(Protocol):
    """Networks on a device, ready to embed windows."""

    audio_dim: int  # 0: the features have no sound
    visual_dim: int  # 0: the features have no picture
    batch_windows: int  # windows that one call should hold
    identity: dict[str, Any]  # name, windows, weights, random_weights, execution: the header of every output
    measured: dict[str, Any]  # what the networks found out about themselves, such as the error of 16-bit arithmetic

    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed a non-empty batch and return the function that waits for its features.

        The function gives float32 (a, audio_dim) and (v, visual_dim), a row for each window that has sound and each that
        has a picture, in their order (`sounds`, `pictures`). Between the two calls the next batch is begun, so that a GPU
        never waits for the host; networks on a CPU compute at once.
        """
        ...


class Extractor(Protocol):
    """The two functions of an extractor module; `options` are of its own model `Options`."""

    def read(self, path: Path, options: Any, info: ClipInfo) -> Iterator[Window]:
        """Yield the windows of one file and fill `info` on the way.

        The windows of each modality come in order of their start. Raises ClipError where there is nothing to yield.
        """
        ...

    def load(self, options: Any, device: str, threads: int, cache: Path) -> Networks:
        """Load the networks onto `device` ("auto", "cpu" or "cuda"); `cache` is where downloads are kept."""
        ...


def find_extractor(name: str) -> Extractor:
    """Return the module of an extractor (`avzsl.config.plugins`).

    Raises ConfigError if there is no such module or it lacks `read` or `load`.
    """
    module = plugins.load(plugins.EXTRACTOR, name)
    missing = [function for function in ("read", "load") if not callable(getattr(module, function, None))]
    if missing:
        raise ConfigError(f"extractor: module {module.__name__} has no function {' or '.join(missing)}")
    return cast(Extractor, module)


def options_of(features: FeaturesConfig) -> ExtractorOptions:
    """Return the options of a feature set's extractor; raises ConfigError for a wrong one."""
    options = plugins.typed(plugins.EXTRACTOR, features.extractor, features.options, "features")
    if not isinstance(options, ExtractorOptions):
        raise ConfigError(f"extractor: the Options of {features.extractor} do not derive from ExtractorOptions")
    return options


def with_trained(features: FeaturesConfig, weights: Path) -> FeaturesConfig:
    """Return a feature set whose network of sound, which the workflow trains, has the weights of a file."""
    options = {key: value for key, value in features.options.items() if key != "train"}
    values = features.model_dump(exclude=set(features.options))
    return FeaturesConfig.model_validate(
        {**values, **options, "sound_weights": {"path": str(weights), "sha256": sha256_file(weights)}}
    )
