"""Overlap with label sets, against hand-judged tables and by rule."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from avzsl.config.splits import OverlapConfig
from avzsl.contracts.errors import AvzslError, ConfigError, DataError
from avzsl.pretrained.label_sets import labels_of
from splits.labels import LABEL_SETS, load_labels
from splits.overlap import aliases, find_overlap

FILES = {"sports1m": "sports1m_labels.txt", "kinetics600": "kinetics600.txt", "kinetics700": "kinetics700.txt"}


def labels(shared: Path, name: str) -> list[str]:
    return load_labels(name, {key: str(shared / "data/labels" / file) for key, file in FILES.items()})


def judged(shared: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(shared / f"data/overlap/{name}_classes.tsv", sep="\t", keep_default_na=False)


def overlap(names: list[str], label_set: list[str], **keys: object) -> pd.DataFrame:
    classes = pd.DataFrame({"class_name": names, "phrase": names})
    return find_overlap(classes, {"mine": label_set}, OverlapConfig.model_validate(keys))


@pytest.mark.parametrize("label_set", ["kinetics400", "sports1m"])
@pytest.mark.parametrize("name", ["ucf", "activitynet", "vggsound"])
def test_every_direct_match_of_the_judges_is_found_with_its_label(shared, name, label_set):
    table = judged(shared, name)
    classes = pd.DataFrame({"class_name": table["class"], "phrase": table["w2v_name"]})
    found = find_overlap(classes, {label_set: labels(shared, label_set)}, OverlapConfig())
    pairs = set(zip(found["class_name"], found["label"], strict=True))
    direct = table[table[f"{label_set}_kind"] == "exact"]
    assert [p for p in zip(direct["class"], direct[f"{label_set}_match"], strict=True) if p not in pairs] == []
    # Words alone must not accuse many classes that the judges found clean.
    clean = set(table.loc[table[f"{label_set}_kind"] == "none", "class"])
    assert len(clean & set(found["class_name"])) <= 0.15 * len(clean)


def test_the_clear_violations_of_activitynet_are_found(shared):
    table = judged(shared, "activitynet")
    unseen = table[table["split"].isin(["val_unseen", "test_unseen"])]
    classes = pd.DataFrame({"class_name": unseen["class"], "phrase": unseen["w2v_name"]})
    found = find_overlap(classes, {"sports1m": labels(shared, "sports1m")}, OverlapConfig())
    label = dict(zip(found["class_name"], found["label"], strict=True))
    assert (label["Snatch"], label["Icefishing"]) == ("olympic weightlifting", "fishing")


@pytest.mark.parametrize("name", list(LABEL_SETS))
def test_label_sets_are_complete(shared, name):
    assert len(set(labels(shared, name))) == LABEL_SETS[name].size


def test_a_truncated_or_wrong_label_file_is_refused(shared, tmp_path):
    text = (shared / "data/labels/sports1m_labels.txt").read_text(encoding="utf-8")
    (tmp_path / "half.txt").write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(AvzslError, match="are not the 487 of Sports-1M"):
        load_labels("sports1m", {"sports1m": str(tmp_path / "half.txt")})


def test_sets_that_cannot_be_had(tmp_path):
    with pytest.raises(ConfigError, match="unknown label set 'imagenet'"):
        load_labels("imagenet", {})
    with pytest.raises(AvzslError, match=r"get it from https://.* and give `overlap.files.sports1m: PATH`"):
        load_labels("sports1m", {})
    (tmp_path / "mine.txt").write_text("one\n\ntwo\n")
    assert load_labels("mine", {"mine": str(tmp_path / "mine.txt")}) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "label", "kind"),
    [
        ("CrawlingBabies", "crawling baby", "exact"),
        ("harmonica", "playing harmonica", "exact"),
        ("Shotput", "shot put", "exact"),
        ("shaving beard", "trimming or shaving beard", "exact"),
        ("rings", "rings (gymnastics)", "exact"),
        ("fixing bicycle", "bicycle", "word"),
        ("kayak rowing", "rowing (sport)", "word"),
        ("church bell ringing", "rings (gymnastics)", None),
        ("painting fence", "fencing", None),
        ("dog", "walking the dog", None),
    ],
)
def test_rules(name, label, kind):
    from splits.catalogs.base import readable_name

    found = overlap([readable_name(name)], [label])
    assert list(found["kind"]) == ([kind] if kind else [])


def test_aliases_hold_only_for_labels_the_set_has(shared):
    classes = pd.DataFrame({"class_name": ["SkyDiving", "Ping-pong"], "phrase": ["Sky Diving", "Ping-pong"]})
    found = find_overlap(classes, {"sports1m": ["parachuting"]}, OverlapConfig(rules=("alias",)))
    assert found[["class_name", "label"]].to_numpy().tolist() == [["SkyDiving", "parachuting"]]
    everything = {name: set(labels(shared, name)) for name in LABEL_SETS}
    kinetics = everything["kinetics400"] | everything["kinetics600"] | everything["kinetics700"]
    for row in aliases():
        assert row["label"] in (kinetics if row["label_set"] == "kinetics" else everything[row["label_set"]])
        assert len(row["reason"]) > 8


def test_similar_vectors(tmp_path):
    (tmp_path / "words.txt").write_text("3 2\nbike 1 0.1\ncycle 1 0.2\nsong 0 1\n")
    keys = {"rules": ("embedding",), "vectors": str(tmp_path / "words.txt")}
    found = overlap(["bike", "song", "unknown"], ["cycle"], **keys)
    assert found[["class_name", "kind", "evidence"]].to_numpy().tolist() == [["bike", "embedding", "cosine 0.995"]]
    assert overlap(["bike", "song"], ["none of the words"], **keys).empty
    assert overlap(["bike"], ["cycle"], rules=("exact",), vectors=keys["vectors"]).empty, "a rule that nobody asked for"
    # The same for a label set that is compared with the help of its tags.
    (tmp_path / "words.txt").write_text("bike 1 0.1\nspeech 1 0.2\n")
    named = {"audioset": [label.name for label in labels_of("audioset")]}
    classes = pd.DataFrame({"class_name": ["bike"], "phrase": ["bike"]})
    for rules, expected in ((("exact",), False), (("exact", "embedding"), True)):
        found = find_overlap(classes, named, OverlapConfig(rules=rules, vectors=keys["vectors"]))
        assert ("embedding" in set(found["kind"])) is expected
    (tmp_path / "words.txt").write_text("bike 1 x\n")
    with pytest.raises(DataError, match="line 1: could not convert"):
        overlap(["bike"], ["cycle"], **keys)
    with pytest.raises(ValueError, match="needs `vectors`"):
        OverlapConfig(rules=("embedding",))


def test_judges_table_is_not_in_the_project(shared):
    with (shared / "data/overlap/violations.tsv").open() as stream:
        notes = {row["note"] for row in csv.DictReader(stream, delimiter="\t") if row["note"]}
    assert not notes & {row["reason"] for row in aliases()}
