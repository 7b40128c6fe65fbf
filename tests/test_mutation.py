"""The breaks that `benchmarks/mutation.py` makes are what it says, and its list of harmless ones is read."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = '''
"""A text of 3 lines."""
LIMIT = 2.0

@cache(3)
def f(x: int | None, n=4, *, flag=True):
    if not flag and n <= LIMIT:
        raise ValueError(f"more than {3 + 4}")
    y = -x.sum(axis=-1) + min(x) * LIMIT
    return y[~x.mask], sorted(y), "a" + "b", folder / "name", zip(x, y, strict=True)
'''


@pytest.fixture(scope="module")
def mutation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutation", ROOT / "benchmarks" / "mutation.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutation"] = module  # its dataclasses ask for it
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        spec.loader.exec_module(module)
    return module


def test_what_is_broken_and_what_is_not(mutation, tmp_path):
    (tmp_path / "f.py").write_text(SOURCE)
    found = list(mutation.mutants(["*.py"], tmp_path))
    changes = {m.change for m in found}
    assert {
        "2.0 -> 3.0", "4 -> 5", "True -> False", "not flag -> flag", "n <= LIMIT -> n < LIMIT", "-1 -> 0", "min -> max",
        "-x.sum(axis=-1) -> x.sum(axis=-1)", "~x.mask -> x.mask", "sorted -> list", "min(x) * LIMIT -> min(x) / LIMIT",
        "not flag and n <= LIMIT -> not flag or n <= LIMIT",
    } <= changes  # fmt: skip
    assert not {"3 -> 4", "'a' + 'b' -> 'a' - 'b'", "folder / 'name' -> folder * 'name'"} & changes
    assert {m.kind for m in found} == {"constant", "mask", "comparison", "axis", "order", "sign"}
    for mutant in found:
        broken = mutation.mutated(SOURCE.encode(), mutant)
        assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(SOURCE))


def test_every_package_has_files_and_tests(mutation):
    for files, tests in mutation.PACKAGES.values():
        assert len(list(mutation.mutants(files, ROOT))) > 5
        assert all(list(ROOT.glob(test.split("::")[0])) for test in tests)


def test_a_file_with_tests_of_its_own_is_guarded_by_them(mutation):
    files = {m.path for patterns, _ in mutation.PACKAGES.values() for m in mutation.mutants(patterns, ROOT)}
    for pattern, tests in mutation.NEAR.items():
        assert any(mutation.fnmatch.fnmatchcase(file, pattern) for file in files), pattern
        assert all((ROOT / test).is_file() for test in tests)
    package = ["tests/goldens::splits", "tests/splits/test_audit.py"]
    assert mutation.guards("splits/audit.py", package) == package
    own = mutation.guards("splits/overlap.py", package)
    assert own[0] == package[0] and "tests/splits/test_overlap.py" in own and package[1] not in own


def test_what_is_set_aside_has_a_reason_and_still_exists(mutation):
    every = [m for files, _ in mutation.PACKAGES.values() for m in mutation.mutants(files, ROOT)]
    for known in mutation.equivalents():
        assert len(known.reason) > 10
        assert any(known.holds(mutant) for mutant in every), (
            f"nothing is like {known.path}: {known.text}: {known.change}"
        )
