"""A method and its hyper-parameters (config/methods/NAME.yaml)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from avzsl.config.base import Name, PartName, Preset, Section

Option = bool | int | float | str | None | list[Any]


class TrainingConfig(Section):
    """The two-stage protocol and its optimisation (AVCA section 4.2 and the released scripts).

    The protocol's departures are options whose default, null, is what the preset takes; `under` fills them in.
    """

    epochs: int = Field(50, gt=0, description="epochs of a stage")
    batches_per_epoch: int = Field(500, gt=0, description="batches that are drawn in an epoch")
    clip_passes: int | None = Field(
        None,
        gt=0,
        description="length of an epoch by the data: so many draws of each training clip, but no more than batches_per_epoch",
    )
    stop_epochs: int | None = Field(
        None, gt=0, description="stage 1 ends after so many epochs without a better validation HM; null: never"
    )
    batch_size: int = Field(256, gt=1, description="clips in a batch")
    lr: float = Field(1e-3, gt=0, description="learning rate of Adam")
    weight_decay: float = Field(0.0, ge=0, description="weight decay of Adam")
    patience: int = Field(3, ge=0, description="epochs without a better validation HM before the learning rate drops")
    lr_factor: float = Field(0.1, gt=0, lt=1, description="what the learning rate is multiplied with when it drops")
    stage2_schedule: Literal["replay", "plateau"] | None = Field(
        None,
        description="learning rate of stage 2: replay stage 1's (corrected), or drop on the HM over the validation set that stage 2 trains on (as_released)",
    )
    beta: Literal["reported", "mean"] | None = Field(
        None,
        description="calibration for the test: the best of the reported score (corrected), or the mean over the method's outputs (as_released)",
    )
    class_rows: Literal["aligned", "as_released"] | None = Field(
        None,
        description="class embeddings by name (corrected), or the released loaders' row order, which gives some classes another class's vector",
    )
    calibration: Literal["grid", "clipclap", "exact"] = Field(
        "grid",
        description="choose beta from AVCA's 16 values in [0, 3], ClipClap's 76 in [0, 5], or from all real values",
    )
    sequence_length: Literal["max", "fixed"] = Field(
        "max", description="sequences: whole clips, padded to the longest of a batch, or crops of a fixed length"
    )
    train_steps: int = Field(60, gt=0, description="sequences of fixed length: steps of the picture in training")
    test_steps: int = Field(300, gt=0, description="sequences of fixed length: steps of the picture in evaluation")
    crop: Literal["random", "centre"] = Field(
        "random", description="sequences of fixed length: where a crop lies in training; in evaluation in the middle"
    )
    crop_alignment: Literal["same_time", "as_released"] | None = Field(
        None,
        description="crops of the same seconds in both modalities (corrected), or the released collator's, whose sound is shorter than its picture (as_released)",
    )
    precision: Literal["float32", "bfloat16", "float64"] = Field(
        "float32", description="arithmetic of the training steps; bfloat16 keeps float32 weights"
    )
    compile: bool = Field(
        False, description="compile the training loss: pays on a GPU, where it removes launch overhead"
    )
    search_trials: int = Field(
        0,
        ge=0,
        description="settings that stage 1 tries on validation before the run, the same number for every method",
    )
    checkpoint_seconds: float = Field(
        60.0, ge=0, description="least time between two checkpoints of a run; 0: after every epoch"
    )

    def for_clips(self, clips: int) -> TrainingConfig:
        """Return a copy whose batches per epoch are those of `clip_passes` over so many training clips."""
        if self.clip_passes is None:
            return self
        wanted = -(-self.clip_passes * clips // self.batch_size)
        return self.model_copy(update={"batches_per_epoch": max(1, min(wanted, self.batches_per_epoch))})

    def under(self, preset: Preset) -> TrainingConfig:
        """Return a copy in which every option left to the preset has its value."""
        corrected = preset == "corrected"
        return self.model_copy(
            update={
                "stage2_schedule": self.stage2_schedule or ("replay" if corrected else "plateau"),
                "beta": self.beta or ("reported" if corrected else "mean"),
                "crop_alignment": self.crop_alignment or ("same_time" if corrected else "as_released"),
                "class_rows": self.class_rows or ("aligned" if corrected else "as_released"),
            }
        )


class Overrides(Section):
    """Changes to a method's options and training: for a data set, a preset or a benchmark."""

    options: dict[str, Option] = Field({}, description="options of the methods that have them")
    training: dict[str, Option] = Field({}, description="keys of the training")


class VariantConfig(Section):
    """A method that differs from another in a few options, as an ablation does: all else is the other's.

    Its options stand above the other's presets and data sets. A variant of another module has that module's options, and
    of the other's settings those that both have.
    """

    title: str = Field(description="what tables and page call it")
    source: str = Field(description="paper, table, row")
    module: PartName | None = Field(None, description="default: the other method's")
    options: dict[str, Option] = Field({}, description="what differs")
    training: dict[str, Option] = Field({}, description="what differs of the training")


class OwnVariantConfig(VariantConfig):
    """A variant in a file of its own, for who varies a method that comes with avzsl."""

    variant_of: Name = Field(description="the method that it varies")


class MethodConfig(Section):
    """One method: a module, its options where they differ from their defaults, its training, its variants.

    Precedence, low to high: `options`, `presets[preset]`, `datasets[dataset]`, `datasets[dataset/features]`, the variant's,
    the data set's and the benchmark's own overrides.
    """

    title: str = Field(description="what tables and page call it")
    module: PartName = Field(
        description="a module of `avzsl.methods`, an entry point of the group avzsl.methods, or package.module"
    )
    source: str = Field(description="paper, section")
    inputs: Literal["averages", "sequences"] = Field(
        "averages",
        description="what the method sees of a clip: averages of the features, or all steps; as its class says",
    )
    options: dict[str, Option] = Field({}, description="values other than the defaults of the module's options")
    training: TrainingConfig = Field(TrainingConfig(), description="where it differs from the protocol's defaults")
    presets: dict[Preset, Overrides] = Field(
        {}, description="what a preset changes, `as_released` as the released code does"
    )
    datasets: dict[str, Overrides] = Field(
        {}, description="changes by data set, or by data set and feature set as `ucf/c3d-vggish`"
    )
    search: dict[str, list[Option]] = Field(
        {}, description="values to search, by option or as training.KEY; used if search_trials is not 0"
    )
    variants: dict[Name, VariantConfig] = Field(
        {}, description="methods that differ from this one in a few options, by their names"
    )
