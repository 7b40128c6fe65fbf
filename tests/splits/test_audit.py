"""The audit finds the published leaks, to the clip, and what was planted."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from splits import Audit, Split, audit_split, build_split, write_audit

SPORTS = {"sports1m": "sports1m_labels.txt"}


def audited(benchmark, name, shared, **keys) -> Audit:
    config = SplitConfig.model_validate(
        {
            "flavour": "published",
            "classes": name,
            "lists": {"path": str(benchmark.folder)},
            "avoid": ["sports1m", "kinetics400"],
            "overlap": {"files": {key: str(shared / "data/labels" / file) for key, file in SPORTS.items()}},
            **keys,
        }
    )
    split = build_split(benchmark.clips, benchmark.classes, config)
    with (benchmark.folder / f"{name}_w2v_class_names.csv").open(newline="") as stream:
        manual = {row["original"]: row["manual"] for row in csv.DictReader(stream)}
    file = shared / f"data/published_word_vectors/word_embeddings_{name.removesuffix('net')}_normed.npy"
    by_phrase = np.load(file, allow_pickle=True).item()
    vectors = {original: by_phrase[phrase] for original, phrase in manual.items()}
    classes = benchmark.classes.assign(phrase=benchmark.classes["class_name"].map(manual))
    return audit_split(split, benchmark.clips, classes, config, vectors=vectors)


def found(audit: Audit, name: str) -> tuple[int | None, int]:
    return audit[name].count, audit[name].total


def test_ucf(ucf, shared):
    audit = audited(ucf, "ucf", shared)
    assert found(audit, "test_seen_source") == (555, 555)
    assert found(audit, "val_seen_source") == (353, 353)
    assert found(audit, "test_unseen_source") == (0, 1267)
    assert found(audit, "embedding_order") == (79, 101)
    assert found(audit, "class_disjointness") == (0, 9)
    assert found(audit, "published_counts") == (0, 6816)
    assert found(audit, "variant_classes") == (3, 21)
    assert found(audit, "near_duplicate_names") == (0, 9)
    # One borderline class, as the hand-judged table says.
    assert [e.split(" (")[0] for e in audit["overlap_sports1m"].examples] == ["BandMarching"]
    direct = pd.read_csv(shared / "data/overlap/ucf_classes.tsv", sep="\t", keep_default_na=False)
    direct = direct[direct["split"].isin(["val_unseen", "test_unseen"]) & (direct["kinetics400_kind"] == "exact")]
    assert set(direct["class"]) <= {e.split(" (")[0] for e in audit["overlap_kinetics400"].examples}


def test_activitynet(activitynet, shared):
    audit = audited(activitynet, "activitynet", shared)
    assert found(audit, "test_seen_source") == (784, 1615)
    assert found(audit, "val_seen_source") == (552, 1023)
    assert found(audit, "test_unseen_source") == (3, 4199)
    assert {example.split(" with ")[0] for example in audit["test_unseen_source"].examples} == {
        "GvDu_0ktsJ0_0", "GvDu_0ktsJ0_1", "yDH9iAn82Q8_1",
    }  # fmt: skip
    assert found(audit, "embedding_order") == (8, 200)
    assert found(audit, "published_counts") == (0, 20348)
    assert found(audit, "variant_classes") == (2, 101)
    assert {"Snatch", "Icefishing"} <= {e.split(" (")[0] for e in audit["overlap_sports1m"].examples}
    assert [example.split(" (")[0] for example in audit["near_duplicate_names"].examples] == [
        "Fixingbicycle ~ Assemblingbicycle", "Rakingleaves ~ Blowingleaves",
    ]  # fmt: skip
    # Synonyms that no cosine shows, by the label that both have.
    assert "Cuttingthegrass ~ Mowingthelawn" in " ".join(audit["same_label_classes"].examples)


def test_vggsound_order_of_embeddings(shared):
    with (shared / "data/published_splits/vggsound/vggsound_w2v_class_names.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    classes = pd.DataFrame({"class_name": [r["original"] for r in rows], "phrase": [r["manual"] for r in rows]})
    from splits.class_checks import embedding_order

    check = embedding_order(classes)
    assert (check.count, check.total) == (205, 309)


def test_vggsound_near_duplicates(shared):
    from splits.class_checks import near_duplicates
    from splits.facts import load_facts

    with (shared / "data/published_splits/vggsound/vggsound_w2v_class_names.csv").open(newline="") as stream:
        manual = {row["original"]: row["manual"] for row in csv.DictReader(stream)}
    file = shared / "data/published_word_vectors/word_embeddings_vggsound_normed.npy"
    by_phrase = np.load(file, allow_pickle=True).item()
    members = load_facts("vggsound").roles
    roles = pd.DataFrame([(n, role) for role, names in members.items() for n in names], columns=["class_name", "role"])
    classes = roles.assign(phrase=roles["class_name"].map(manual))
    nothing = pd.DataFrame(columns=["class_name", "label_set", "label", "kind", "evidence"])
    vectors = {name: by_phrase[phrase] for name, phrase in manual.items()}
    names, _ = near_duplicates(roles, classes, nothing, SplitConfig(), vectors)
    assert (names.count, names.total) == (12, 69)


@pytest.fixture
def planted() -> tuple[Split, pd.DataFrame, pd.DataFrame]:
    """A split with known faults: rows are clip, class, source, start, end, official subset, subset."""
    rows = [
        ("a0", "a", "v0", 0.0, 10.0, "train", "train"),
        ("a1", "a", "v0", 4.0, 14.0, "train", "test_seen"),  # overlaps a0 by 6 of 10 seconds
        ("a2", "a", "v0", 9.0, 19.0, "test", "val_seen"),
        ("a3", "a", "v1", 0.0, 10.0, "test", "test_seen"),
        ("b0", "b", "v2", 0.0, 10.0, "test", "val_unseen"),
        ("b1", "b", "v3", None, None, "test", "test_seen"),
        ("c0", "c", "v2", 20.0, 30.0, "test", "test_unseen"),  # shares the video of b0, later
        ("c1", "c", "v4", 0.0, 10.0, "test", "val_unseen"),  # an unseen class that stage 2 trains on
    ]
    columns = ["clip_id", "class_name", "source_id", "start_s", "end_s", "official_subset", "subset"]
    table = pd.DataFrame(rows, columns=columns)
    roles = {"a": "train", "b": "val_unseen", "c": "test_unseen"}
    classes = pd.DataFrame({"class_name": list(roles), "role": list(roles.values()), "reason": "planted"})
    split = Split(table[["clip_id", "class_name", "subset"]].assign(reason=None), classes)
    return split, table.drop(columns="subset"), classes.assign(phrase=["archery", "zap", "archery targets"])


def test_planted_faults_are_found(planted, tmp_path):
    config = SplitConfig(pretraining={"selavi": "official:train"}, gates={})
    audit = audit_split(*planted, config)
    assert found(audit, "class_disjointness") == (1, 1)
    assert found(audit, "val_unseen_is_test_unseen") == (1, 2)
    assert found(audit, "test_seen_source") == (1, 3)
    assert found(audit, "test_unseen_source") == (1, 1)
    assert found(audit, "test_seen_time") == (1, 3)
    assert audit["test_seen_time"].note == "1 by more than half of the clip; the times of 1 clips are not known"
    assert found(audit, "test_unseen_time") == (0, 1)
    assert found(audit, "test_seen_in_selavi") == (1, 3)
    assert found(audit, "val_seen_in_selavi") == (0, 1)
    assert audit["val_seen_in_selavi"].note == "1 more share a source with one that was"
    assert found(audit, "official_mixing") == (1, 4)
    assert audit["overlap_kinetics400"].examples == ["c (test_unseen): archery (word)"]
    assert audit["same_label_classes"].examples == ["c ~ a (both 'archery')"]
    assert audit["near_duplicate_names"].count == 0
    assert found(audit, "small_test_classes") == (1, 1)
    write_audit(audit, tmp_path)
    content = json.loads((tmp_path / "audit.json").read_text())
    assert {check["name"]: check["count"] for check in content["checks"]}["test_seen_source"] == 1
    assert "a1 with a0" in (tmp_path / "audit.md").read_text()


def test_youtube_ids_of_a_pretraining_set_from_a_file(planted, tmp_path):
    (tmp_path / "set.csv").write_text("v3,30,some label,train\nv2,1,x,train\n")
    config = SplitConfig(pretraining={"other": str(tmp_path / "set.csv")}, gates={})
    audit = audit_split(*planted, config)
    assert found(audit, "test_seen_in_other") == (1, 3)
    assert found(audit, "test_unseen_in_other") == (1, 1)
    with pytest.raises(ConfigError, match="neither official:SUBSET nor a file"):
        audit_split(*planted, SplitConfig(pretraining={"other": "nowhere.csv"}))


def test_gates(planted):
    audit = audit_split(*planted, SplitConfig())
    with pytest.raises(AvzslError, match=r"class_disjointness: 1 of 1 .* the gate allows 0, for example c"):
        audit.enforce()
    audit_split(*planted, SplitConfig(gates={"class_disjointness": 1, "test_seen_source": 5})).enforce()
    # A label set that cannot be had is said, and does not pass a gate.
    config = SplitConfig(avoid=("sports1m",), gates={"overlap_sports1m": 99})
    audit = audit_split(*planted, config)
    assert audit["overlap_sports1m"].count is None
    with pytest.raises(AvzslError, match="overlap_sports1m has a gate, but was not checked"):
        audit.enforce()


def test_names_cannot_break_the_page(planted, tmp_path):
    split, clips, classes = planted
    evil = "a|b\n<script>"
    for table in (split.clips, split.classes, clips, classes):
        table["class_name"] = table["class_name"].replace({"c": evil})
    write_audit(audit_split(split, clips, classes, SplitConfig(gates={})), tmp_path)
    page = (tmp_path / "audit.md").read_text()
    assert "<script>" not in page
    assert all(line.count("|") - line.count("\\|") in (0, 3, 6, 7) for line in page.splitlines())


def test_a_regenerated_split_is_compared_with_the_lists_beside_it(activitynet, shared):
    audit = audited(activitynet, "activitynet", shared, gates={"lists": 0})
    audit.enforce()
    assert audit["lists"].count == 0
    other = audited(activitynet, "activitynet", shared, seed=41)
    assert other["lists"].count > 1000
    assert "here, " in other["lists"].examples[0]


def test_ratios(catalog):
    clips, classes = catalog([40] * 6, per_source=10)
    config = SplitConfig(flavour="source_disjoint")
    audit = audit_split(build_split(clips, classes, config), clips, classes, config)
    # Four sources a class: a quarter is the nearest to a tenth that tests it at all.
    assert found(audit, "test_seen_ratio") == (5, 5)
    assert audit["test_seen_ratio"].note == "off by 6.00 clips on average"
    fine = audit_split(build_split(clips, classes, SplitConfig()), clips, classes, SplitConfig())
    assert found(fine, "test_seen_ratio") == (0, 5)
