"""Small breaks of the code, one at a time, and whether a test notices: `python benchmarks/mutation.py [PACKAGE ...]`.

A break changes a comparison, a constant, an axis, a mask, a sign or an order. A seeded sample of them is put into a
copy of the checkout that has no reference data beside it, and the tests that guard the file run there until one fails.
What survives is printed with its place. Breaks that change nothing, or nothing that a result depends on, are listed
with their reason in `mutation_equivalent.tsv` and are not counted.

    python benchmarks/mutation.py --count 12 --seed 0 evaluation splits
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from breaks import Mutant, mutants, mutated  # beside this file

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = Path(__file__).with_name("mutation_equivalent.tsv")
# Package -> files, and the tests that guard them: those that end soonest first.
PACKAGES: dict[str, tuple[list[str], list[str]]] = {
    "evaluation": (
        ["avzsl/evaluation/*.py"],
        ["tests/goldens::evaluation", "tests/evaluation/test_calibration.py", "tests/evaluation/test_retrieval.py", "tests/training/test_recompute.py"],
    ),
    "training": (
        ["avzsl/training/*.py", "avzsl/benchmark/data.py", "avzsl/benchmark/assemble.py"],
        ["tests/goldens::training", "tests/training/test_protocol.py", "tests/training/test_sampling.py", "tests/benchmark/test_assemble.py"],
    ),
    "splits": (["splits/*.py"], ["tests/goldens::splits", "tests/splits/test_[abgiopst]*.py"]),
    "methods": (["avzsl/methods/*.py"], ["tests/goldens::methods", "tests/methods/test_options.py", "tests/methods/test_closed_form.py", "tests/methods/test_linear.py"]),
    "extraction": (
        ["extractors/*.py", "extractors/selavi/*.py", "avzsl/media/[ds]*.py", "avzsl/media/pictures.py"],
        [
            "tests/goldens::selavi or networks", "tests/extractors/test_uniform.py", "tests/extractors/test_key.py",
            "tests/extractors/test_released.py", "tests/extractors/test_weights.py", "tests/extractors/test_shards.py",
        ],
    ),
    "cut": (["avzsl/*/cut.py"], ["tests/*/test_offsets.py", "tests/*/test_cut.py"]),
    "policy": (["avzsl/*/policy.py", "avzsl/*/pace.py"], ["tests/*/test_policy.py", "tests/*/test_pace.py"]),
}  # fmt: skip

# Files that have tests of their own: these run in the place of the package's, after its goldens.
NEAR: dict[str, list[str]] = {
    "avzsl/evaluation/intervals.py": ["tests/evaluation/test_intervals.py"],
    "avzsl/evaluation/hits.py": ["tests/evaluation/test_hits.py", "tests/training/test_recompute.py"],
    "avzsl/evaluation/multilabel.py": ["tests/evaluation/test_multilabel.py"],
    "avzsl/training/[cs]*s.py": ["tests/training/test_sequences.py"],
    "avzsl/training/live.py": ["tests/training/test_live.py"],
    "avzsl/training/search.py": ["tests/training/test_search.py"],
    "avzsl/training/[cr]*n*.py": ["tests/training/test_protocol.py", "tests/training/test_run.py"],
    "splits/[ov]*.py": ["tests/splits/test_overlap.py", "tests/splits/test_tagged.py"],
    "splits/roles.py": ["tests/splits/test_build.py", "tests/splits/test_folds.py", "tests/splits/test_seed_and_shares.py"],
    "avzsl/methods/nearest_phrase.py": ["tests/methods/test_nearest_phrase.py"],
    "avzsl/methods/clip_zeroshot.py": ["tests/methods/test_clip_zeroshot.py"],
    "avzsl/methods/clipclap.py": ["tests/methods/test_clipclap.py"],
    "avzsl/methods/tcaf*.py": ["tests/methods/test_tcaf.py"],
    "extractors/[aot]*.py": ["tests/extractors/test_own.py"],
    "extractors/steps_out.py": ["tests/extractors/test_own.py"],
    "extractors/[iru]*.py": ["tests/extractors/test_released_features.py", "tests/extractors/test_own.py"],
    "extractors/log_mel.py": ["tests/extractors/test_pretrained.py"],
    "extractors/p*.py": ["tests/extractors/test_shards.py"],
    "extractors/[bw]*.py": ["tests/extractors/test_weights.py", "tests/extractors/test_shards.py"],
    "extractors/shards.py": ["tests/extractors/test_shards.py", "tests/extractors/test_parts.py"],
    "extractors/clips.py": ["tests/extractors/test_shards.py", "tests/extractors/test_parts.py"],
    "extractors/parts.py": ["tests/extractors/test_parts.py"],
    "extractors/seconds.py": ["tests/extractors/test_uniform.py", "tests/media/test_same.py", "tests/extractors/test_shards.py"],
    "extractors/selavi/[nt]*.py": ["tests/extractors/test_networks.py", "tests/extractors/test_weights.py"],
    "extractors/selavi/[pru]*.py": ["tests/extractors/test_released.py", "tests/extractors/test_uniform.py", "tests/extractors/test_colours.py"],
    "avzsl/media/*.py": ["tests/media/test_kinds.py", "tests/media/test_same.py", "tests/extractors/test_uniform.py"],
}  # fmt: skip


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


def tests_fail(copy: Path, tests: list[str], limit_s: float) -> str:
    """Run tests in a fork of this process until one fails; return what failed, or nothing."""
    files = [str(f.relative_to(copy)) for t in tests for f in sorted(copy.glob(t.split("::")[0]))]
    chosen = [t.split("::")[1] for t in tests if "::" in t]
    log = copy.parent / "log.txt"
    process = os.fork()
    if process == 0:
        os.setsid()
        with log.open("wb") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.chdir(copy)
        sys.path[0] = str(copy)
        os.environ |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "AVZSL_SHARED": str(copy / "nothing")}
        sys.dont_write_bytecode = True
        import pytest

        found = [
            *files,
            "-x",
            "-q",
            "-m",
            "not slow",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "--hypothesis-seed=0",
            "--tb=line",
        ]
        if chosen:
            found += ["-k", " or ".join([*chosen, "not test_what_is_made_is_what_is_kept"])]
        code = pytest.main([*found, f"--basetemp={copy.parent / 'tmp'}"])
        os._exit(int(code))
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            if status == 0:
                return ""
            failed = [
                line for line in log.read_text(errors="replace").splitlines() if line.startswith(("FAILED", "ERROR"))
            ]
            return failed[0] if failed else f"ended with {status}"
        time.sleep(0.05)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return "too slow"


def guards(path: str, package: list[str]) -> list[str]:
    """Return the tests that guard a file: its own after the goldens, or its package's."""
    own = [test for pattern, tests in NEAR.items() if fnmatch.fnmatchcase(path, pattern) for test in tests]
    return [t for t in package if "::" in t] + list(dict.fromkeys(own)) if own else package


def judge(copy: Path, name: str, count: int, rng: random.Random) -> tuple[int, int, int]:
    """Break a package `count` times; return how many were caught, how many survived, how many change nothing."""
    patterns, tests = PACKAGES[name]
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
    started = time.monotonic()
    needed = list(dict.fromkeys(test for mutant in drawn for test in guards(mutant.path, tests)))
    broken = tests_fail(copy, needed, 1800)
    if broken:
        raise SystemExit(
            f"{name}: its tests fail before anything is broken: {broken}\n{(copy.parent / 'log.txt').read_text()[-3000:]}"
        )
    limit_s = 60 + 4 * (time.monotonic() - started)
    print(f"{name}: {len(every)} breaks possible; {time.monotonic() - started:.0f} s without any", flush=True)
    for mutant in drawn:
        path = copy / mutant.path
        source = path.read_bytes()
        path.write_bytes(mutated(source, mutant))
        try:
            compile(path.read_bytes(), str(path), "exec")
            failed = tests_fail(copy, guards(mutant.path, tests), limit_s)
        except SyntaxError:
            continue
        finally:
            path.write_bytes(source)
        caught, survived = caught + bool(failed), survived + (not failed)
        sign = "caught  " if failed else "SURVIVED"
        print(
            f"  {sign} {mutant.path}:{mutant.line} {mutant.kind}: {mutant.change}   [{failed[:110] or mutant.text}]",
            flush=True,
        )
    return caught, survived, nothing


def main() -> None:
    """Break each package and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=", ".join(PACKAGES))
    parser.add_argument("--count", type=int, default=12, help="breaks of each package")
    parser.add_argument("--seed", type=int, default=0, help="which breaks are drawn")
    parser.add_argument("--list", action="store_true", help="print what would be drawn from, and run nothing")
    given = parser.parse_args()
    chosen = given.packages or list(PACKAGES)
    if given.list:
        for name in chosen:
            for mutant in mutants(PACKAGES[name][0], ROOT):
                print(f"{mutant.path}:{mutant.line}\t{mutant.text}\t{mutant.change}")
        return
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
        for name in chosen:
            rows.append((name, *judge(copy, name, given.count, random.Random(f"{given.seed} {name}"))))
    print("\n| package | caught | survived | share | set aside as equivalent |\n|---|---:|---:|---:|---:|")
    total = ("all", *(sum(row[i] for row in rows) for i in (1, 2, 3)))
    for name, caught, survived, nothing in [*rows, total]:
        print(f"| {name} | {caught} | {survived} | {caught / max(caught + survived, 1):.0%} | {nothing} |")


if __name__ == "__main__":
    main()
