"""The stored rows on CLIP and CLAP features are the printed ones, and agree with themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from avzsl.config.features import KINDS
from avzsl.config.splits import SplitConfig
from avzsl.published import for_benchmark, numbers

STORED = [row for row in numbers() if row.features == "clip-clap"]
SOURCES = {"ClipClap README": "clipclap-readme", "HSP-MoE README": "hsp-moe-readme"}


def test_rows_are_those_of_the_specification(shared: Path) -> None:
    text = (shared / "spec/newer_methods.md").read_text(encoding="utf-8")
    found, features, source = {}, "", ""
    for line in text.split("## 7. Published numbers")[1].split("## 8.")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 6 or "/" not in cells[2]:
            continue
        features = features if cells[0] == '"' else cells[0]
        source = source if cells[5] == '"' else cells[5]
        if not features.startswith("CLIP/CLAP") or source not in SOURCES:
            continue
        for dataset, cell in zip(("vggsound", "ucf", "activitynet"), cells[2:5], strict=True):
            values = tuple(float(value) for value in cell.split("/"))
            found[SOURCES[source], cells[1].split(",")[0], dataset] = (None, None, *values)[-4:]
    stored = {(r.source, r.labels[0], r.dataset): (r.seen, r.unseen, r.hm, r.zsl) for r in STORED}
    assert len(found) == 21
    assert stored == found


def test_rows_of_the_features_own_section_are_stored_too(shared: Path) -> None:
    text = (shared / "spec/features.md").read_text(encoding="utf-8").split("### C.1")[1].split("### C.2")[0]
    [line] = [line for line in text.splitlines() if "Published (HM/ZSL):" in line]
    found = {}
    for part in line.split(":", 1)[1].replace("[R].", "").split(";"):
        name, cells = part.split(maxsplit=1)
        for dataset, cell in zip(("vggsound", "ucf", "activitynet"), cells.split("|"), strict=True):
            found[name, dataset] = tuple(float(value) for value in cell.split("/"))
    stored = {(r.labels[0], r.dataset): (r.hm, r.zsl) for r in STORED if r.source == "clipclap-readme"}
    assert len(found) == 15
    assert stored == found


@pytest.mark.parametrize(
    ("features", "dataset"),
    [("clipclap-paper-ucf", "ucf"), ("clipclap-paper", "vggsound"), ("clipclap-paper", "activitynet")],
)
def test_every_method_has_its_own_row_beside_it(features: str, dataset: str) -> None:
    split = SplitConfig.model_validate({"flavour": "published", "classes": dataset, "variant": "cls"})
    rows = for_benchmark(dataset, features, split, False)
    methods = [row.method for row in rows if row.source == "clipclap-readme"]
    assert methods == ["cjme", "avgzslnet", "avca", "avca-hyper", "clipclap"]
    assert all(row.hm is not None and row.zsl is not None for row in rows)


def test_the_harmonic_mean_is_that_of_seen_and_unseen() -> None:
    both = [row for row in STORED if row.seen is not None and row.unseen is not None]
    assert len(both) == 6
    for row in both:
        assert row.seen is not None and row.unseen is not None
        assert row.hm == pytest.approx(2 * row.seen * row.unseen / (row.seen + row.unseen), abs=0.02), row.place


def test_rows_stand_beside_features_and_split_of_their_kind_alone() -> None:
    kinds = [name for name, kind in KINDS.items() if kind == "clip-clap"]
    cls, main = (
        SplitConfig.model_validate({"flavour": "published", "classes": "ucf", **more})
        for more in ({"variant": "cls"}, {})
    )
    for name in kinds:
        assert len(for_benchmark("ucf", name, cls, False)) == 7
        assert not for_benchmark("ucf", name, main, False)
        assert not for_benchmark("ucf", name, cls, True)
    assert kinds and not for_benchmark("ucf", "clip-clap", cls, False)
