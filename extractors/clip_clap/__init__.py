"""CLIP for pictures (512) and CLAP for sound (512, or WavCaps' 1024), by open_clip and transformers (extra [clip]).

Both were trained on captions from the web, which may name anything: no class is known to be unseen by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from avzsl.config.features import ExtractorOptions, WeightsConfig, refuse_unnamed
from avzsl.pretrained.clip_files import CLAPS, CLIP_WEIGHTS, check_installed
from extractors.base import ClipInfo, Networks, Window


class Options(ExtractorOptions):
    """Which networks, their weights, and how densely a clip is looked at."""

    windows: Literal["uniform", "as_released"] = Field(
        "uniform", description="all of a clip, or the released code's plan: its middle frame and its middle ten seconds"
    )
    colours: Literal["bgr", "inverted"] = Field(
        "bgr",
        description="as_released only: as for ActivityNet and VGGSound (bgr), or as for UCF101 (inverted besides)",
    )
    sound: Literal["laion", "wavcaps"] = Field(
        "laion", description="laion: 48 kHz, 512 numbers, free licence; wavcaps: 32 kHz, 1024 numbers, research only"
    )
    picture_weights: WeightsConfig = Field(
        WeightsConfig(), description="CLIP ViT-B/32, in the tensor names of OpenAI, open_clip or transformers"
    )
    sound_weights: WeightsConfig = Field(
        WeightsConfig(), description="CLAP: transformers' names for laion, the released checkpoint for wavcaps"
    )
    frames: int = Field(1, gt=0, le=30, description="pictures a second, in the middles of its equal parts")
    execution: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="type of the networks' products of matrices; bfloat16 is faster on processors and cards that have it, 2e-3 off",
    )
    batch_windows: int = Field(
        16, gt=0, description="windows that are computed together; a CPU takes sounds one by one"
    )

    @model_validator(mode="after")
    def _of_one_plan(self) -> Options:
        if self.windows == "as_released" and self.frames != 1:
            raise ValueError("`frames` has no effect with `windows: as_released`, which takes one of a clip")
        if self.windows == "uniform" and self.colours != "bgr":
            raise ValueError("`colours` has no effect with `windows: uniform`, whose colours are right")
        return self

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("open_clip_torch", "transformers", "torchaudio", "pillow")


def check(options: Options) -> None:
    """Raise ConfigError where the extra [clip] or weights are missing, saying where they are to be had."""
    check_installed("open_clip", "transformers")
    refuse_unnamed(
        {
            "picture_weights": (options.picture_weights, CLIP_WEIGHTS),
            "sound_weights": (options.sound_weights, CLAPS[options.sound].weights),
        }
    )


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield pictures uint8 RGB (224, 224, 3), one window each, and sounds int16 (n,) of ten seconds every five.

    With `windows: as_released` there is one of either, from its middle. The last sound ends with the clip; one shorter than ten seconds is one window. Raises ClipError where there is nothing
    to yield.
    """
    if options.windows == "as_released":
        from extractors.clip_clap.released import read_released

        return read_released(path, options, info)
    from extractors.clip_clap.windows import read_uniform

    return read_uniform(path, options, info)


def load(options: Options, device: str, threads: int, cache: Path) -> Networks:
    """Load both networks; see `extractors.clip_clap.networks`."""
    from extractors.clip_clap.networks import load_networks

    check(options)
    return load_networks(options, device, threads, cache)
