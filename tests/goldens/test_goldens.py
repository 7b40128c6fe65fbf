"""What the code gives now is what `make.py` kept: methods, SeLaVi's inputs, evaluation, splits and audits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.goldens.make import AREAS, HERE, cases, made, stored

# Relative, and absolute beside entries of about 1. Float64, but for windows, whose pixels and samples are float32.
TOLERANCE = {"evaluation": 1e-9, "methods": 1e-7, "networks": 1e-4, "selavi": 1e-5, "splits": 1e-9, "training": 1e-6}


def differences(new: Any, kept: Any, tolerance: float, where: str = "") -> list[str]:
    """Return the places at which two trees of values differ."""
    if isinstance(new, dict) and isinstance(kept, dict):
        found = [f"{where}: only on one side: {key}" for key in sorted(set(new) ^ set(kept))]
        return found + [d for k in new if k in kept for d in differences(new[k], kept[k], tolerance, f"{where}/{k}")]
    if isinstance(new, list) and isinstance(kept, list) and len(new) == len(kept):
        return [
            d
            for i, (a, b) in enumerate(zip(new, kept, strict=True))
            for d in differences(a, b, tolerance, f"{where}[{i}]")
        ]
    if isinstance(new, float) and isinstance(kept, int | float):
        return [] if new == pytest.approx(kept, rel=tolerance, abs=tolerance) else [f"{where}: {new} instead of {kept}"]
    return [] if new == kept else [f"{where}: {new!r} instead of {kept!r}"]


# Cases one by one where there are many: a break is then found by the short ones that reach it.
CASES = [(area, case) for area in AREAS for case in cases(area) or [None]]


@pytest.mark.parametrize("area,case", CASES)
def test_what_is_made_is_what_is_kept(area, case):
    kept = stored(area)
    found = differences(made(area, case), kept if case is None else {case: kept[case]}, TOLERANCE[area])
    assert not found, f"{len(found)} differences, such as {'; '.join(found[:8])}"


@pytest.mark.parametrize("area", [area for area in AREAS if cases(area)])
def test_every_case_is_kept_and_no_other(area):
    assert set(cases(area)) == set(stored(area))


def test_a_difference_is_seen():
    kept = {"a": [1.0, {"b": "x"}], "c": None}
    assert not differences({"a": [1.0 + 1e-12, {"b": "x"}], "c": None}, kept, 1e-9)
    for new in (
        {"a": [1.001, {"b": "x"}], "c": None},
        {"a": [1.0, {"b": "y"}], "c": None},
        {"a": [1.0], "c": None},
        {"a": kept["a"]},
    ):
        assert len(differences(new, kept, 1e-9)) == 1


def test_the_files_stay_small():
    assert sum(file.stat().st_size for file in HERE.glob("*.json")) < 300_000
