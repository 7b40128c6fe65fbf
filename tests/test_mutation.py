"""The breaks that `benchmarks/mutation.py` makes are what it says, and its list of harmless ones is read."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

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


LINES = """LIMIT = 3


def f(x, n=4):
    if x > LIMIT:
        return [
            x,
            n - 1,
        ]
    return 0


def g():
    return 7
"""


def test_a_break_is_judged_by_the_tests_that_reach_it_the_shortest_first(mutation, tmp_path):
    reached = mutation.reached
    (tmp_path / "m.py").write_text(LINES)

    def reach(seconds: float, *texts: str) -> Any:
        return reached.Reach(seconds, frozenset(reached.key("m.py", text) for text in texts))

    known = {
        "deep": reach(9.0, "if x > LIMIT:", "return ["),
        "shallow": reach(2.0, "if x > LIMIT:", "return 0"),
        "other": reach(1.0, "return 7"),
    }
    found = {line: reached.reaching(known, tmp_path, "m.py", line, ["m.py"]) for line in (1, 4, 5, 8, 10, 14)}
    assert found == {
        1: ["shallow", "deep"],  # a constant: where it is used
        4: ["shallow", "deep"],  # a default: where the function runs
        5: ["shallow", "deep"],
        8: ["deep"],  # a line inside an expression: where that runs
        10: ["shallow"],
        14: ["other"],
    }
    assert mutation.within(["shallow", "deep"], known, 5.0) == ["shallow"]
    assert mutation.within(["deep", "shallow"], known, 5.0) == ["deep"]


def test_lines_are_noted_with_the_test_that_reaches_them(mutation, tmp_path):
    (tmp_path / "m.py").write_text(LINES)
    (tmp_path / "test_m.py").write_text(
        "import pytest\nfrom m import f, g\n\n@pytest.fixture(scope='module')\ndef made():\n    return g()\n\n"
        "def test_f():\n    assert f(1) == 0\n\ndef test_g(made):\n    assert made == 7\n\ndef test_fails():\n    assert f(9) == 0\n"
    )
    code = (
        "import pytest, reached; from pathlib import Path; reached.begin(); timer = reached.Timer(); "
        "pytest.main(['-q', '-p', 'no:cacheprovider', 'test_m.py'], plugins=[timer]); "
        "reached.keep(Path('test_m.py'), Path('kept/map.json'), timer, reached.read_log(Path('lines.txt'), Path.cwd()))"
    )
    environment = {
        **os.environ, mutation.reached.OUT: "lines.txt", mutation.reached.FILES: str(tmp_path / "m.py"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "benchmarks"), str(tmp_path)]),
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True)
    known = mutation.reached.load(tmp_path / "test_m.py", tmp_path / "kept" / "map.json")
    assert set(known) == {"test_m.py::test_f", "test_m.py::test_g"}, "what fails unbroken guards nothing"
    at = {line: mutation.reached.reaching(known, tmp_path, "m.py", line, ["m.py"]) for line in (8, 10, 14)}
    assert at[8] == [] and at[10] == ["test_m.py::test_f"]
    assert len(at[14]) == 2, "what a fixture reaches counts for every test of the file"
    (tmp_path / "test_m.py").write_text("")
    assert mutation.reached.load(tmp_path / "test_m.py", tmp_path / "kept" / "map.json") is None


def test_what_is_set_aside_has_a_reason_and_still_exists(mutation):
    every = [m for files, _ in mutation.PACKAGES.values() for m in mutation.mutants(files, ROOT)]
    for known in mutation.equivalents():
        assert len(known.reason) > 10
        assert any(known.holds(mutant) for mutant in every), (
            f"nothing is like {known.path}: {known.text}: {known.change}"
        )
