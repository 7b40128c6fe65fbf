"""C3D (fc7 or fc6, 4096) and VGGish (128): the "cls" features of AVCA's supplement and of TCaF.

Picture and sound have steps of their own: 16 frames at 25 a second, 0.96 s of sound.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from avzsl.config.base import LocalFile
from avzsl.config.features import ExtractorOptions, WeightsConfig, refuse_unnamed
from extractors.base import ClipInfo, Networks, Window

# Key of the weights -> where people find them.
WHERE = {
    "picture_weights": "c3d.pickle of http://imagelab.ing.unimore.it/files/c3d_pytorch/c3d.pickle (about 320 MB; converted "
    "from facebook/C3D, whose licence for weights is unclear)",
    "sound_weights": "vggish-10086976.pth of https://github.com/harritaylor/torchvggish/releases/tag/v0.1 (about 288 MB, "
    "Apache-2.0)",
    "whitening": "vggish_pca_params-970ea276.pth of https://github.com/harritaylor/torchvggish/releases/tag/v0.1, or "
    "https://storage.googleapis.com/audioset/vggish_pca_params.npz (below 1 MB, Apache-2.0)",
}


class Options(ExtractorOptions):
    """Preprocessing, layer, and the weights of the two networks."""

    windows: Literal["corrected", "as_released"] = Field(
        "corrected", description="pictures as C3D was trained on, 25 a second by time; or the released code's"
    )
    colours: Literal["bgr", "inverted"] = Field(
        "bgr",
        description="as_released only: as for ActivityNet (bgr), or as for UCF101 and VGGSound (inverted besides)",
    )
    layer: Literal["fc7", "fc6"] = Field("fc7", description="which layer of C3D, after its ReLU; published tables: fc7")
    postprocess: Literal["quantised", "pca", "none"] | None = Field(
        None,
        description="what follows VGGish: whitening and 8 bits, whitening, nothing; default: quantised as_released, else none",
    )
    picture_weights: WeightsConfig = Field(WeightsConfig(), description="C3D on Sports-1M, c3d.pickle's layout")
    sound_weights: WeightsConfig = Field(
        WeightsConfig(), description="VGGish, the layout of torchvggish or of audioset-vggish-tensorflow-to-pytorch"
    )
    whitening: WeightsConfig = Field(
        WeightsConfig(), description="VGGish's principal components (.pth, .npz), where `postprocess` needs them"
    )
    mean: LocalFile | None = Field(
        None, description="corrected only: c3d_mean.npy (1, 3, 16, 128, 171) in the place of its mean colour"
    )
    batch_windows: int = Field(16, gt=0, description="windows in one forward pass on a GPU; a CPU runs one at a time")

    @model_validator(mode="after")
    def _of_one_preset(self) -> Options:
        if self.windows == "corrected" and self.colours != "bgr":
            raise ValueError("`colours` has no effect with `windows: corrected`, whose colours are right")
        if self.windows == "as_released" and self.mean is not None:
            raise ValueError("`mean` has no effect with `windows: as_released`, which takes another network's")
        return self

    @property
    def after_vggish(self) -> str:
        """`postprocess`, its default filled in."""
        return self.postprocess or ("quantised" if self.windows == "as_released" else "none")

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("pillow",)


def check(options: Options) -> None:
    """Raise ConfigError where weights are not named, saying which file, how large, under which licence, and where to put it."""
    needed = [key for key in WHERE if key != "whitening" or options.after_vggish != "none"]
    refuse_unnamed({key: (getattr(options, key), WHERE[key]) for key in needed})


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield pictures uint8 BGR (16, 112, 112, 3) and sounds float32 (96, 64), one window each.

    A last window of pictures may have fewer frames with `as_released`. Raises ClipError where there is nothing to yield.
    """
    if options.windows == "as_released":
        from extractors.c3d_vggish.released import read_released

        return read_released(path, options.colours == "inverted", info)
    from extractors.c3d_vggish.corrected import read_corrected

    return read_corrected(path, info)


def load(options: Options, device: str, threads: int, cache: Path) -> Networks:
    """Load both networks; see `extractors.c3d_vggish.embedding`."""
    from extractors.c3d_vggish.embedding import load_networks

    check(options)
    return load_networks(options, device, threads, cache)
