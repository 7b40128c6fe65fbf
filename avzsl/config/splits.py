"""How a seen/unseen split is made and checked (`splits.build` and `splits.audit`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from avzsl.config.base import DownloadAddress, Local, Section, Several

Role = Literal["train", "val_unseen", "test_unseen", "excluded"]
# Audit checks that need media and features: the benchmark makes them.
BENCHMARK_CHECKS = ("val_seen_copies", "test_seen_copies", "val_unseen_copies", "test_unseen_copies")
Rule = Literal["exact", "word", "alias", "embedding"]


class OverlapConfig(Section):
    """When a class counts as one that a pre-training label set already holds."""

    rules: Several[Rule] = Field(
        ("exact", "word", "alias"), min_length=1, description="any of these is enough to make a class seen"
    )
    threshold: float = Field(0.8, gt=0, le=1, description="cosine above which `embedding` calls two names the same")
    vectors: Annotated[str | None, Local("file")] = Field(
        None, description="word2vec or GloVe table (.txt, .vec, .bin, also .gz) that the rule `embedding` needs"
    )
    files: Annotated[dict[str, str], Local("file")] = Field(
        default_factory=dict,
        description="label set -> local file, one label a line: one of your own, or in place of a download",
    )

    @model_validator(mode="after")
    def _vectors_given(self) -> OverlapConfig:
        if "embedding" in self.rules and self.vectors is None:
            raise ValueError("the rule 'embedding' needs `vectors`")
        return self


class ListsConfig(Section):
    """Released lists: to import, or to take the historic population from."""

    path: Annotated[str | None, Local("file or folder")] = Field(
        None, description="folder or archive (.zip, .tar, .tar.gz) of the lists, or a text file of one clip id a line"
    )
    url: DownloadAddress | None = Field(
        None, description="archive to download when `path` is not given; $NAME is an environment variable"
    )
    sha256: str | None = Field(None, description="expected checksum of the archive at `url`")
    within: str = Field("", description="folder inside the archive that holds the lists")
    layout: Literal["avca", "cjme", "xlsa17"] = Field(
        "avca",
        description="avca: VARIANT_split/stage_*.csv and .txt; cjme: {trn,val,tst}/CLASS.txt; xlsa17: the folder `path` with res101.mat and att_splits.mat",
    )

    @model_validator(mode="after")
    def _somewhere(self) -> ListsConfig:
        if self.path is None and self.url is None:
            raise ValueError("needs `path` or `url`")
        if self.layout == "xlsa17" and self.path is None:
            raise ValueError("the layout xlsa17 needs `path`")
        return self


class SplitConfig(Section):
    """One split of a data set; the defaults are the ratios of the AVCA paper, section 4.1."""

    flavour: Literal["random", "published", "imported", "source_disjoint"] = Field(
        "random", description="how clips are assigned to subsets"
    )
    # Which classes are seen and unseen.
    classes: str | None = Field(
        None, description="class roles: a benchmark that avzsl knows, or a YAML file; default: drawn with the seed"
    )
    variant: str = Field("main", description="variant of the class roles; cls: without the dropped unseen classes")
    force: dict[str, Role] = Field(default_factory=dict, description="classes whose role is given")
    avoid: Several[str] = Field(("kinetics400",), description="label sets that unseen classes must not overlap with")
    overlap: OverlapConfig = Field(OverlapConfig(), description="when a class counts as one of those label sets")
    balance: Literal["none", "category"] = Field(
        "none", description="category: draw the unseen classes evenly from the categories"
    )
    val_unseen: float = Field(0.2, gt=0, lt=1, description="share of the classes that stage 1 has not seen")
    test_unseen: float = Field(0.2, gt=0, lt=1, description="share of the classes never trained on")
    folds: int | None = Field(
        None,
        ge=2,
        le=100,
        description="resampled classes: as many splits under the same rules, each with other unseen classes, compared in one benchmark",
    )
    fold: int | None = Field(None, ge=1, description="which of `folds` this one is; avzsl fills it in")
    # Which clips go where.
    test_seen: float = Field(0.1, gt=0, lt=1, description="share of the seen clips held out for the test")
    val_seen: float = Field(0.1, gt=0, lt=1, description="share of the remaining seen clips held out for validation")
    seed: int = Field(42, ge=0, lt=2**32, description="of everything that is drawn")
    filters: Several[str] | None = Field(
        None, description="named filters of the benchmark's population; default: all for published, none elsewhere"
    )
    lists: ListsConfig | None = Field(None, description="released lists, for `imported` and for historic populations")
    copies: Literal["report", "one_side"] = Field(
        "report",
        description="held-out clips that copy a clip that is trained on: counted, or left out so that copies stay on one side",
    )
    # What is checked.
    pretraining: dict[str, str] = Field(
        default_factory=dict,
        description="self-supervised pre-training set -> 'official:SUBSET' of this data set, or a file of YouTube ids",
    )
    gates: dict[str, float] = Field(
        default_factory=lambda: {"class_disjointness": 0.0},
        description="audit check -> largest count that passes; more fails the job",
    )

    @model_validator(mode="after")
    def _consistent(self) -> SplitConfig:
        if self.val_unseen + self.test_unseen >= 1:
            raise ValueError("val_unseen + test_unseen must leave classes to train on")
        if self.flavour == "published" and self.classes is None:
            raise ValueError("the flavour 'published' needs `classes`: the benchmark whose recipe to follow")
        if self.flavour == "imported" and self.lists is None:
            raise ValueError("the flavour 'imported' needs `lists`")
        if self.fold is not None and self.folds is None:
            raise ValueError("`fold` is filled in by avzsl where `folds` says how many; leave it out")
        if self.folds is not None and self.flavour not in ("random", "source_disjoint"):
            raise ValueError(f"`folds` draws classes, but the flavour {self.flavour!r} has its own")
        return self

    def drawn(self) -> list[SplitConfig]:
        """Return the class splits that `folds` asks for, each with a seed of its own."""
        numbers = range(1, (self.folds or 0) + 1)
        return [self.model_copy(update={"fold": k, "seed": (self.seed + k - 1) % 2**32}) for k in numbers]
