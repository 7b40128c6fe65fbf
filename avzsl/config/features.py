"""How features are extracted (config/features/NAME.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from avzsl.config.base import DownloadAddress, Local, Part, PartName, Section, expand
from avzsl.contracts.errors import ConfigError

# Keys of a feature set that only extracting, and only importing, asks for.
EXTRACTING = frozenset({"max_lost_share", "time_limit_s"})
IMPORTING = frozenset({"released", "within", "arrays", "audio_step_seconds", "visual_step_seconds"})

# The feature sets of a published kind, same networks and same weights: settings of methods for the kind hold for them, and
# printed numbers are compared with theirs.
KINDS = {
    "selavi": "selavi",
    "selavi-as-released": "selavi",
    "selavi-released": "selavi",
    "c3d-vggish": "c3d-vggish",
    "c3d-vggish-as-released": "c3d-vggish",
    "c3d-vggish-as-released-activitynet": "c3d-vggish",
    "c3d-vggish-random": "c3d-vggish",
    "clipclap-paper": "clip-clap",
    "clipclap-paper-ucf": "clip-clap",
    "i3d-audiocnn": "cjme",
    **{f"{name}-released": "selavi" for name in ("ucf", "vggsound", "activitynet")},
    **{
        f"{name}-released{kind}": "c3d-vggish"
        for name in ("ucf", "vggsound", "activitynet")
        for kind in ("-cls", "-temporal")
    },
    **{f"{name}-released-temporal-main": "selavi" for name in ("ucf", "vggsound", "activitynet")},
    "res101": "res101",
    "i3d-audiocnn-published": "cjme",
}


def original(dataset: str) -> str:
    """Return the data set whose released clips and features `dataset` holds (`avzsl new NAME --released`), or itself."""
    return dataset.removesuffix("-released")


class WeightsConfig(Section):
    """Which network weights; the identity of the weights is written into every output."""

    random_seed: int | None = Field(
        None, ge=0, lt=2**32, description="seeded random weights: a demonstration, never a benchmark"
    )
    path: Annotated[str | None, Local("file or folder")] = Field(
        None, description="checkpoint file of the released layout"
    )
    url: DownloadAddress | None = Field(
        None, description="where to fetch the checkpoint if `path` is not given; $NAME is an environment variable"
    )
    sha256: str | None = Field(None, description="expected checksum; recorded on first use when absent")

    @property
    def named(self) -> bool:
        """Whether there is a seed, a file or an address."""
        return self.random_seed is not None or bool(self.path) or bool(self.url)


def refuse_unnamed(weights: Mapping[str, tuple[WeightsConfig, str]]) -> None:
    """Raise ConfigError if weights (key -> what is given, what is to be had where) are not named, for all of them at once."""
    missing = [
        f"{key}: name the file as `{key}: {{path: FILE}}`: {where}"
        for key, (given, where) in weights.items()
        if not given.named
    ]
    if missing:
        raise ConfigError("; ".join(missing))


class ExtractorOptions(Section):
    """Base of the options of an extractor."""

    # Raised where the same options give other features than before by more than rounding: kept features are then made anew.
    revision: ClassVar[int] = 1

    @property
    def revised(self) -> dict[str, int]:
        """What to add to all that tells features apart: nothing for a first revision."""
        return {"revision": self.revision} if self.revision > 1 else {}

    @property
    def libraries(self) -> tuple[str, ...]:
        """The packages, besides av, numpy and torch, whose versions change the features."""
        return ()

    @property
    def trains(self) -> Any:
        """How the workflow trains a network of it before extraction, with a `split`; None where nothing is trained."""
        return None


class FeaturesConfig(Part):
    """One feature set: an extractor; the further keys are its options, checked by its `Options` model."""

    title: str = Field("", description="what tables and page call it")
    extractor: PartName = Field(
        "selavi",
        description="a module of `extractors`, an entry point of the group avzsl.extractors, or package.module",
    )
    released: str | None = Field(
        None,
        description="folder or zip archive of released features (averages as .h5, steps as pickles), {dataset} stands for the data set: imported, nothing is extracted",
    )
    within: str = Field("", description="folder inside `released`, which may be a zip archive, that holds the features")
    arrays: str | None = Field(
        None, description="folder of features of your own with a clips.csv: imported, nothing is extracted"
    )
    audio_step_seconds: float = Field(1.0, gt=0, description="imported steps without times: seconds of a step of sound")
    visual_step_seconds: float = Field(
        1.0, gt=0, description="imported steps without times: seconds of a step of picture"
    )
    dtype: Literal["float32", "float16"] = Field(
        "float32", description="how steps are stored; float16 halves the disk that sequences need"
    )
    max_lost_share: float = Field(
        0.2, ge=0, le=1, description="a clip that loses a larger share of its frames or its sound to damage is corrupt"
    )
    time_limit_s: float = Field(600.0, gt=0, description="seconds that decoding a clip may take beyond its own length")

    @property
    def imported(self) -> bool:
        """Whether the features exist already, so that nothing is extracted."""
        return self.released is not None or self.arrays is not None

    def imported_from(self, dataset: str) -> Path:
        """Return the folder of a data set's features that exist already; ValueError if they are extracted."""
        given = self.arrays if self.arrays is not None else self.released
        if given is None:
            raise ValueError("these features are extracted")
        return expand(given.replace("{dataset}", dataset))

    @model_validator(mode="after")
    def _one_source(self) -> FeaturesConfig:
        if self.released is not None and self.arrays is not None:
            raise ValueError("give `released` or `arrays`, not both")
        return self
