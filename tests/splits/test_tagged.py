import pandas as pd
import pytest

from avzsl.config.splits import OverlapConfig, SplitConfig
from avzsl.pretrained.label_sets import LABEL_SETS
from splits.audit import audit_split
from splits.build import build_split
from splits.facts import check_split
from splits.labels import KNOWN, load_labels
from splits.overlap import find_overlap
from splits.tagged import tagged_classes


def frame(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"class_name": names, "phrase": names})


def found(name: str) -> dict[str, set[str]]:
    table = tagged_classes(frame(name))
    return {label_set: set(table.loc[table["label_set"] == label_set, "label"]) for label_set in LABEL_SETS}


@pytest.mark.parametrize(
    "name,audioset,imagenet",
    [
        ("dog", {"Dog", "Bark", "Bow-wow"}, {"beagle", "Chihuahua", "German shepherd"}),
        ("guitar", {"Guitar", "Electric guitar", "Strum"}, {"electric guitar", "acoustic guitar"}),
        ("violin", {"Violin, fiddle", "Pizzicato"}, {"violin"}),
        ("tabby cat", {"Cat"}, {"tabby"}),
        # Other words for the same thing, as WordNet has them.
        ("rooster", {"Chicken, rooster", "Cluck", "Crowing, cock-a-doodle-doo"}, {"cock"}),
        ("chicken", {"Chicken, rooster"}, {"cock", "hen"}),
        ("hen", {"Chicken, rooster", "Cluck"}, {"hen"}),
        ("cow", {"Cattle, bovinae", "Moo"}, {"ox"}),
        ("hog", {"Pig", "Oink"}, {"hog"}),
        ("violoncello", {"Cello"}, {"cello"}),
        ("kettledrum", {"Timpani"}, set()),
    ],
)
def test_labels_that_name_a_class_or_a_kind_of_it(name: str, audioset: set[str], imagenet: set[str]) -> None:
    labels = found(name)
    assert audioset <= labels["audioset"]
    assert imagenet <= labels["imagenet1k"]


@pytest.mark.parametrize("name", ["quokka", "shaving a beard", "unboxing", "театр", ""])
def test_classes_that_no_label_names(name: str) -> None:
    assert not len(tagged_classes(frame(name)))


def test_a_word_in_front_is_no_kind() -> None:
    labels = found("rain")
    assert {"Rain", "Rain on surface"} <= labels["audioset"]
    assert "rain barrel" not in labels["imagenet1k"]


def test_a_split_avoids_them() -> None:
    names = ["dog", "violin", "quokka", "unboxing", "shrugging", "waving hands", "crocheting", "origami"]
    classes = frame(*names).assign(category=None, clips=5)
    clips = pd.DataFrame(
        [(f"{n}{i}", n, f"{n}{i}", 0.0, 5.0, None) for n in names for i in range(5)],
        columns=["clip_id", "class_name", "source_id", "start_s", "end_s", "official_subset"],
    )
    config = SplitConfig(avoid=("audioset", "imagenet1k"), test_unseen=0.3, val_unseen=0.3)
    check_split("splits.x", config)  # what a run asks before it begins
    split = build_split(clips, classes, config)
    roles = dict(zip(split.classes["class_name"], split.classes["role"], strict=True))
    assert roles["dog"] == roles["violin"] == "train"
    audit = audit_split(split, clips, classes, config)
    assert audit["overlap_imagenet1k"].count == 0
    assert {row["class_name"] for row in audit.tagged} >= {"dog", "violin"}
    # Without avoiding anything the audit still says who is named.
    free = SplitConfig(avoid=(), test_unseen=0.3, val_unseen=0.3)
    assert audit_split(build_split(clips, classes, free), clips, classes, free).tagged == audit.tagged


@pytest.mark.parametrize("name", KNOWN)
def test_every_label_set_that_comes_with_avzsl_can_be_named(name: str) -> None:
    check_split("splits.x", SplitConfig(avoid=(name,)))


def test_rules_narrow_it_and_a_file_of_ones_own_comes_first(tmp_path) -> None:
    labels = {"imagenet1k": load_labels("imagenet1k", {})}
    only = find_overlap(frame("dog", "tench"), labels, OverlapConfig(rules=("exact",)))
    assert only["label"].tolist() == ["tench"]
    (tmp_path / "mine.txt").write_text("dog\n")
    assert load_labels("imagenet1k", {"imagenet1k": str(tmp_path / "mine.txt")}) == ["dog"]
