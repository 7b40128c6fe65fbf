"""Small breaks of the code, one at a time, and whether a test notices: `python benchmarks/mutation.py [PACKAGE ...]`.

A break changes a comparison, a constant, an axis, a mask, a sign or an order. A seeded sample of them is put into a
copy of the checkout that has no reference data beside it, and the tests that reach its line run there until one fails,
the shortest first. Which these are is mapped once and kept in `.mutation` until a test file changes.
What survives is printed with its place. Breaks that change nothing, or nothing that a result depends on, are listed
with their reason in `mutation_equivalent.tsv` and are not counted.

    python benchmarks/mutation.py --count 12 --seed 0 evaluation splits
"""

from __future__ import annotations

import argparse
import compileall
import csv
import fnmatch
import json
import os
import py_compile
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import reached  # beside this file
from breaks import Mutant, mutants, mutated

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("mutation_equivalent.tsv")
# Package -> files, and the tests among which are those that guard them.
PACKAGES: dict[str, tuple[list[str], list[str]]] = {
    "evaluation": (["avzsl/evaluation/*.py"], ["tests/goldens/test_*.py", "tests/evaluation/test_*.py", "tests/training/test_[ps]*.py", "tests/training/test_recompute.py"]),
    "training": (
        ["avzsl/training/*.py", "avzsl/benchmark/data.py", "avzsl/benchmark/assemble.py"],
        ["tests/goldens/test_*.py", "tests/training/test_*.py", "tests/benchmark/test_*.py", "tests/demo/test_order.py"],
    ),
    "splits": (["splits/*.py"], ["tests/goldens/test_*.py", "tests/splits/test_*.py"]),
    "methods": (["avzsl/methods/*.py"], ["tests/goldens/test_*.py", "tests/methods/test_[!e]*.py", "tests/training/test_[ps]*.py", "tests/predict/test_nearest.py"]),
    "extraction": (
        ["extractors/*.py", "extractors/selavi/*.py", "avzsl/media/[ds]*.py", "avzsl/media/pictures.py"],
        ["tests/goldens/test_*.py", "tests/extractors/test_*.py", "tests/media/test_*.py"],
    ),
    "cut": (["avzsl/acquisition/cut.py"], ["tests/acquisition/test_[acfo]*.py"]),
    "policy": (["avzsl/acquisition/policy.py", "avzsl/acquisition/pace.py"], ["tests/acquisition/test_[hpy]*.py"]),
}  # fmt: skip
MAPS, MAP_S = ROOT / ".mutation", 330


@dataclass(frozen=True)
class Equivalent:
    """Breaks that are not counted: patterns of file, line and change, and why."""

    path: str
    text: str
    change: str
    reason: str

    def holds(self, mutant: Mutant) -> bool:
        """Say whether the break is of this kind."""
        own = ((mutant.path, self.path), (mutant.text, self.text), (mutant.change, self.change))
        return all(fnmatch.fnmatchcase(value, pattern) for value, pattern in own)


def equivalents(file: Path = EQUIVALENT) -> list[Equivalent]:
    """Return the list of breaks that change nothing; `*` in its columns stands for anything."""
    with file.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Equivalent(*(cell.replace("[", "[[]") for cell in row)) for row in list(rows)[1:] if row]


def checkout(folder: Path) -> Path:
    """Copy what git knows of the checkout to a folder that nothing stands beside."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True
    )
    copy = folder / "alone" / "checkout"
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    subprocess.run(["git", "init", "-q"], cwd=copy, check=True)
    return copy


def prepare(copy: Path) -> None:
    """Compile the copy so that a file is compiled anew only while it is broken, and lay the tracer beside it."""
    for package in ("avzsl", "extractors", "splits"):
        compileall.compile_dir(copy / package, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    tracing = copy.parent / "tracing"
    tracing.mkdir()
    shutil.copyfile(Path(__file__).with_name("reached.py"), tracing / "reached.py")
    (tracing / "sitecustomize.py").write_text("import reached\n\nreached.begin()\n", encoding="utf-8")


def run_tests(
    copy: Path, files: list[str], plugin: Any, limit_s: float, *more: str, lines: list[str] | None = None
) -> str:
    """Run tests in a fork of this process; return what failed, or nothing. With `lines`, note which of these are reached."""
    log = copy.parent / "log.txt"
    process = os.fork()
    if process == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with log.open("wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.chdir(copy)
        sys.path[0] = str(copy)
        sys.modules["__main__"] = ModuleType("__main__")  # what the tests spawn shall not run this file
        if lines:
            sys.path.insert(1, str(copy.parent / "tracing"))  # decoding processes get this path as it is
        beside = os.pathsep.join(sys.path[: 2 if lines else 1])
        os.environ |= {"PYTHONPATH": beside, "PYTHONDONTWRITEBYTECODE": "1", "AVZSL_SHARED": str(copy / "nothing")}
        if lines:
            os.environ |= {reached.OUT: str(copy.parent / "lines.txt"), reached.FILES: os.pathsep.join(lines)}
            reached.begin()
        import pytest

        plain = ["-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0"]
        found = [*files, *plain, "--tb=line", f"--basetemp={copy.parent / 'tmp'}", *more]
        code = pytest.main(found, plugins=[plugin])
        if isinstance(plugin, reached.Timer):
            known = reached.read_log(copy.parent / "lines.txt", copy)
            reached.keep(copy / files[0], copy.parent / "map.json", plugin, known)
        os._exit(int(code))
    end = time.monotonic() + limit_s
    ended = False
    try:
        while time.monotonic() < end:
            done, status = os.waitpid(process, os.WNOHANG)
            if done:
                ended = True
                lines_of = log.read_text(errors="replace").splitlines()
                failed = [line for line in lines_of if line.startswith(("FAILED", "ERROR"))]
                return "" if status == 0 else failed[0] if failed else f"ended with {status}"
            time.sleep(0.02)
    finally:
        if not ended:
            os.killpg(process, signal.SIGKILL)
            os.waitpid(process, 0)
    return "too slow"


def tests_of(copy: Path, name: str) -> dict[str, reached.Reach]:
    """Return what each test of a package reaches; test files that changed run under the tracer first."""
    every = [str(copy / m) for patterns, _ in PACKAGES.values() for m in sources(patterns, copy)]
    found: dict[str, reached.Reach] = {}
    for file in sorted({f for pattern in PACKAGES[name][1] for f in copy.glob(pattern)}):
        own = str(file.relative_to(copy))
        kept = MAPS / (own.replace("/", "-") + ".json")
        if reached.load(file, kept) is None:
            (copy.parent / "lines.txt").unlink(missing_ok=True)
            (copy.parent / "map.json").unlink(missing_ok=True)
            started = time.monotonic()
            run_tests(copy, [own], reached.Timer(), MAP_S, lines=every)
            if not (copy.parent / "map.json").exists():
                print(f"  {own}: not run to its end in {MAP_S} s; none of its tests is used", flush=True)
                continue
            MAPS.mkdir(exist_ok=True)
            shutil.move(copy.parent / "map.json", kept)
            failed = [t for t, v in json.loads(kept.read_text())["tests"].items() if v["fails"]]
            print(f"  {own}: mapped in {time.monotonic() - started:.0f} s; left out: {len(failed)}", flush=True)
        found |= reached.load(file, kept) or {}
    return found


def sources(patterns: list[str], root: Path) -> list[str]:
    """Return the files of a package, relative to the checkout."""
    return [str(f.relative_to(root)) for pattern in patterns for f in sorted(root.glob(pattern))]


def within(tests: list[str], known: dict[str, reached.Reach], budget_s: float) -> list[str]:
    """Return the first of the tests, as many as the time allows; one at least."""
    chosen, total = [], 0.0
    for test in tests:
        total += known[test].seconds
        if chosen and total > budget_s:
            break
        chosen.append(test)
    return chosen


def judge(copy: Path, name: str, count: int, rng: random.Random, budget_s: float) -> tuple[int, int, int]:
    """Break a package `count` times; return how many were caught, how many survived, how many change nothing."""
    patterns, _ = PACKAGES[name]
    files = sources(patterns, copy)
    known = equivalents()
    every = list(mutants(patterns, copy))
    rng.shuffle(every)
    drawn: list[Mutant] = []
    caught = survived = nothing = 0
    for mutant in every:
        if len(drawn) == count:
            break
        if any(e.holds(mutant) for e in known):
            nothing += 1
        else:
            drawn.append(mutant)
    reach = tests_of(copy, name)
    print(f"{name}: {len(every)} breaks possible; {len(reach)} tests", flush=True)
    for mutant in drawn:
        path = copy / mutant.path
        source = path.read_bytes()
        tests = within(reached.reaching(reach, copy, mutant.path, mutant.line, files), reach, budget_s)
        path.write_bytes(mutated(source, mutant))
        try:
            compile(path.read_bytes(), str(path), "exec")
            limit_s = 30 + 4 * sum(reach[t].seconds for t in tests)
            where = list(dict.fromkeys(t.split("::")[0] for t in tests))
            failed = run_tests(copy, where, reached.Chosen(tests), limit_s, "-x") if tests else ""
        except SyntaxError:
            continue
        finally:
            path.write_bytes(source)
        caught, survived = caught + bool(failed), survived + (not failed)
        sign = "caught  " if failed else "SURVIVED"
        print(
            f"  {sign} {mutant.path}:{mutant.line} {mutant.kind}: {mutant.change}   [{failed[:110] or mutant.text}]"
            + ("" if failed else f" by {len(tests)} tests"),
            flush=True,
        )
    return caught, survived, nothing


def main() -> None:
    """Break each package and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=", ".join(PACKAGES))
    parser.add_argument("--count", type=int, default=12, help="breaks of each package")
    parser.add_argument("--seed", type=int, default=0, help="which breaks are drawn")
    parser.add_argument("--budget", type=float, default=60, metavar="S", help="seconds of tests for one break at most")
    parser.add_argument("--list", action="store_true", help="print what would be drawn from, and run nothing")
    given = parser.parse_args()
    chosen = given.packages or list(PACKAGES)
    if given.list:
        for name in chosen:
            for mutant in mutants(PACKAGES[name][0], ROOT):
                print(f"{mutant.path}:{mutant.line}\t{mutant.text}\t{mutant.change}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a run that is ended leaves no tests behind
    # Imported once, before every fork. None of them is what is broken.
    import hypothesis  # noqa: F401
    import librosa  # noqa: F401
    import pandas  # noqa: F401
    import pytest  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torchvision  # noqa: F401

    rows = []
    with tempfile.TemporaryDirectory(prefix="avzsl-mutation-") as folder:
        copy = checkout(Path(folder))
        prepare(copy)
        for name in chosen:
            rows.append((name, *judge(copy, name, given.count, random.Random(f"{given.seed} {name}"), given.budget)))
    print("\n| package | caught | survived | share | set aside as equivalent |\n|---|---:|---:|---:|---:|")
    total = ("all", *(sum(row[i] for row in rows) for i in (1, 2, 3)))
    for name, caught, survived, nothing in [*rows, total]:
        print(f"| {name} | {caught} | {survived} | {caught / max(caught + survived, 1):.0%} | {nothing} |")


if __name__ == "__main__":
    main()
