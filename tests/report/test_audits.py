from __future__ import annotations

from typing import Any

from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.records import read_record, write_record
from avzsl.report.audits import findings_table, sort_checks
from avzsl.results.places import Places
from tests.report.world import World, make_world


def check(
    name: str, count: int | None, total: int = 10, limit: float | None = None, passed: bool = True
) -> dict[str, Any]:
    return {
        "name": name, "title": f"things of {name}", "count": count, "total": total, "examples": [], "note": "",
        "limit": limit, "passed": passed,
    }  # fmt: skip


CHECKS = [
    check("clean", 0), check("few", 1), check("all", 10), check("unknown", None), check("gate", 2, 10, 0, False),
    check("embedding_order", 3),
]  # fmt: skip


def dataset(**splits: Any) -> DatasetConfig:
    return DatasetConfig.model_validate(
        {
            "catalog": {"module": "folder", "root": "x"},
            "embeddings": {"table": "demo"},
            "splits": splits or {"default": {}},
        }
    )


def test_findings_come_first_failures_before_all() -> None:
    own = sort_checks({"checks": CHECKS}, dataset())
    assert [c["name"] for c in own.findings] == ["gate", "all", "few", "unknown"]
    assert [c["name"] for c in own.clean] == ["clean"]


def test_what_concerns_released_loaders_is_for_data_sets_with_a_released_split() -> None:
    released = dataset(published={"flavour": "published", "classes": "ucf"})
    assert "embedding_order" in [c["name"] for c in sort_checks({"checks": CHECKS}, released).findings]
    gated = [check("embedding_order", 3, limit=0, passed=False)]
    assert len(sort_checks({"checks": gated}, dataset()).findings) == 1, "whoever sets a gate wants to know"


def test_the_terminal_says_what_was_found(tmp_path) -> None:
    world: World = make_world(tmp_path)
    places = Places(world.results)
    write_record(places.audit("toy", "default"), {"checks": CHECKS})
    text = findings_table(world.project, places, [("toy", "default"), ("toy", "absent")])
    assert "toy/default" in text
    assert "FAILED: things of gate" in text
    assert "1 checks passed" in text or "1 check passed" in text
    assert text.index("things of gate") < text.index("things of all") < text.index("things of few")
    assert "absent" not in text
    assert "things of clean" not in text


def test_the_terminal_counts_still_pictures_and_silent_clips_of_a_benchmark_that_is_there(tmp_path) -> None:
    world: World = make_world(tmp_path)
    places = Places(world.results)
    write_record(places.audit("toy", "default"), {"checks": CHECKS})
    assert "things of still" not in findings_table(world.project, places, [("toy", "default")])
    record = read_record(places.benchmark_record("toy"))
    odd = [check("still_pictures", 4, total=90), check("silent_clips", 0, total=90)]
    write_record(places.benchmark_record("toy"), {**record, "checks": odd})
    lines = findings_table(world.project, places, [("toy", "default")]).splitlines()
    (still,) = [line for line in lines if "things of still_pictures" in line]
    assert " 4 " in still and " 90 " in still
    assert not any("silent_clips" in line for line in lines), "nothing found, so it is among the passed checks"
