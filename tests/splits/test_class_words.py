"""How names of classes are compared with labels, on words of one's own: each rule at its limit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from avzsl.config.splits import OverlapConfig
from avzsl.contracts.errors import AvzslError, DataError
from splits import image_lists as images_module
from splits.image_lists import image_lists
from splits.labels import LABEL_SETS, load_labels
from splits.overlap import aliases, compare, find_overlap, label_forms, normal, stems, words
from splits.tagged import tagged_classes
from splits.vectors import phrase_vectors


def frame(*names: str) -> pd.DataFrame:
    return pd.DataFrame({"class_name": names, "phrase": names})


def kind(name: str, label: str) -> str | None:
    found = next((f for form in label_forms(label) if (f := compare(name, label, form))), None)
    return found[0] if found else None


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("playing harmonica", "harmonica", "exact"),  # generic words on the side of the name, and on the other
        ("harmonica", "person using harmonica", "exact"),
        ("play", "playing", "exact"), ("person", "playing", None), ("do", "using something", None),
        ("foot ball", "football", "exact"),  # the same letters
        ("of the", "with a", None),  # nothing but stop words
        ("rowing boating slowly", "rowed boats", "word"),  # two words, of other endings
        ("rowing slowly", "rowed", None), ("rows slowly", "row", "word"),  # one word must be the same but for a plural
        ("loud trimming of a beard", "trimming or shaving beard", None),  # half of a label in a longer name
        ("rowing", "rowing boats", None), ("the dog's bowl", "dog bowl", "exact"),
    ],
)  # fmt: skip
def test_how_a_name_and_a_label_are_compared(name, label, expected) -> None:
    assert kind(name, label) == expected


def test_words_and_readings() -> None:
    assert stems("The dogs' bowls, running") == ["dog", "bowl", "run"]
    assert words("of the") == frozenset() and normal("Foot-ball 2!") == "football2"
    assert label_forms("trimming or shaving beard") == tuple(
        map(frozenset, ({"trim", "shave", "beard"}, {"trim", "beard"}, {"shave", "beard"}))
    )
    assert label_forms("rings (gymnastics)") == (words("rings gymnastics"), words("rings"))
    assert label_forms("rowing (sport)") == (words("rowing"),)


def test_an_alias_holds_for_its_label_set_and_a_label_that_is_there() -> None:
    def found(label_set: str, label: str, *rules: str) -> list[list[str]]:
        table = find_overlap(
            frame("Sky-Diving", "Ballet", "zap"), {label_set: [label]}, OverlapConfig(rules=rules or ("alias",))
        )
        assert table.index.tolist() == list(range(len(table)))
        return table[["class_name", "label_set", "label", "kind"]].to_numpy().tolist()

    assert found("sports1m", "parachuting") == [["Sky-Diving", "sports1m", "parachuting", "alias"]]
    for label_set, label in (
        ("mine", "parachuting"),
        ("kinetics400", "parachuting"),
        ("sports1m", "archery"),
        ("sports1m", "dancing ballet"),
    ):
        assert found(label_set, label) == []
    for label_set in ("kinetics400", "kinetics700"):
        assert found(label_set, "Dancing ballet") == [["Ballet", label_set, "Dancing ballet", "alias"]]
    assert found("sports1m", "parachuting", "exact", "word") == []
    assert any(row["label_set"] == "kinetics" and row["label"] == "dancing ballet" for row in aliases())


def test_a_cosine_that_is_the_threshold_is_not_above_it(tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("bike 2 0\ncycle 3 0\nsong 0 1\nsad 0 3\n")
    vectors = str(tmp_path / "w.txt")
    first, second = phrase_vectors(vectors, ["Bike", "song cycle", "none"], ["sad"])
    np.testing.assert_allclose(first, [[1, 0], [3 / 10**0.5, 1 / 10**0.5], [0, 0]], atol=1e-7)
    np.testing.assert_allclose(second, [[0, 1]])
    assert [part.shape for part in phrase_vectors(vectors, ["none", "nothing"], [])] == [(2, 1), (0, 1)]
    for threshold, labels in ((1.0, []), (0.9, ["cycle"])):
        config = OverlapConfig(rules=("embedding",), threshold=threshold, vectors=vectors)
        assert find_overlap(frame("bike"), {"mine": ["sad", "cycle"]}, config)["label"].tolist() == labels


def test_labels_with_synonyms_and_broader_names() -> None:
    def of(name: str) -> dict[str, tuple[str, str]]:
        table = tagged_classes(frame(name), ["imagenet1k"])
        assert table.index.tolist() == list(range(len(table)))
        return {row.label: (row.kind, row.evidence) for row in table.itertuples()}

    assert of("guitar")["electric guitar"] == of("playing guitar")["electric guitar"] == ("alias", "a kind of guitar")
    assert of("dog")["beagle"] == ("alias", "a kind of dog")
    assert (
        of("dog")["African hunting dog"]
        == of("playing dog")["African hunting dog"]
        == ("alias", "its last words are the class")
    )
    assert of("violin") == {"violin": ("exact", "the same words")}
    assert of("fiddle") == {"violin": ("exact", "fiddle: the same words")}
    assert of("person")["groom"] == ("alias", "a kind of person")
    assert of("electric") == {} and of("the") == {}
    both = tagged_classes(pd.DataFrame({"class_name": ["Violins"], "phrase": ["fiddle"]}), ["imagenet1k"])
    assert both[["class_name", "label"]].to_numpy().tolist() == [["Violins", "violin"]]


def test_the_label_sets_and_what_is_not_one(tmp_path: Path) -> None:
    sizes = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700, "sports1m": 487}
    assert {name: known.size for name, known in LABEL_SETS.items()} == sizes
    assert len(load_labels("kinetics400", {})) == 400 and len(load_labels("audioset", {})) > 500
    (tmp_path / "wrong.txt").write_text("one\n \ntwo\n")
    for name, size in sizes.items():
        with pytest.raises(AvzslError, match=f"its 2 labels are not the {size} of"):
            load_labels(name, {name: str(tmp_path / "wrong.txt")})
    for name in ("mine", "audioset"):
        assert load_labels(name, {name: str(tmp_path / "wrong.txt")}) == ["one", "two"]
    (tmp_path / "wrong.txt").write_text(" \n")
    with pytest.raises(AvzslError, match="holds no label"):
        load_labels("mine", {"mine": str(tmp_path / "wrong.txt")})


@pytest.fixture
def pictures(monkeypatch):
    """Lists of 12 classes of 14 images: 11 for training, 3 for the test; classes 1 and 8 are unseen."""

    def lists(**more: list[int]):
        labels = np.repeat(np.arange(12), 14)
        unseen, last = np.isin(labels, [1, 8]), np.tile(np.arange(14), 12) >= 11
        places = {"trainval_loc": ~unseen & ~last, "test_seen_loc": ~unseen & last, "test_unseen_loc": unseen}
        places = {name: np.flatnonzero(mask) for name, mask in places.items()}
        places |= {name: np.flatnonzero(np.isin(labels, of) & ~last) for name, of in more.items()}
        classes = SimpleNamespace(names=[f"c{k:02d}" for k in range(12)], places=places)
        held = SimpleNamespace(ids=[f"c{label:02d}/{k:03d}" for k, label in enumerate(labels)], labels=labels)
        monkeypatch.setattr(images_module, "read_classes", lambda _: classes)
        monkeypatch.setattr(images_module, "read_images", lambda _: held)
        monkeypatch.setattr(images_module, "check_together", lambda *_: None)
        return image_lists(Path("cub"))

    return lists


def hashed(names: list[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def test_lists_of_images(pictures) -> None:
    seen = [f"c{k:02d}" for k in range(12) if k not in (1, 8)]
    found = pictures()
    assert found.classes["test_unseen"] == ["c01", "c08"]
    assert found.classes["val_unseen"] == sorted(hashed(seen)[:2])  # every fifth of ten
    assert found.classes["train"] == sorted(hashed(seen)[2:])
    assert {name: len(clips) for name, clips in found.clips.items()} == {
        "train": 72, "val_seen": 16, "val_unseen": 22, "test_seen": 30, "test_unseen": 28,
    }  # fmt: skip
    name = found.classes["train"][0]
    ids = [clip for part in ("train", "val_seen") for clip, own in found.clips[part].items() if own == name]
    assert [c for c, own in found.clips["val_seen"].items() if own == name] == hashed(ids)[:2]
    # Classes of val_loc that are unseen for good are none to validate on.
    found = pictures(val_loc=[8, 3, 10], train_loc=[0, 2])
    assert found.classes["val_unseen"] == ["c03", "c10"] and len(found.classes["train"]) == 8
    with pytest.raises(DataError, match="images of 'c03' in train_loc and in val_loc"):
        pictures(val_loc=[3, 10], train_loc=[10, 3, 4])
    for val in ([8], [k for k in range(12) if k not in (1, 8)]):
        with pytest.raises(DataError, match="leaves no class to train on"):
            pictures(val_loc=val)
    assert pictures(val_loc=[]).classes["val_unseen"] == sorted(hashed(seen)[:2])
