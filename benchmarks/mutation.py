"""Small breaks of the code, one at a time, and whether a test notices: `python benchmarks/mutation.py [PACKAGE ...]`.

A break changes a comparison, a constant, an axis, a mask, a sign or an order. A seeded sample of them is put into a
copy of the checkout that has no reference data beside it, and the tests that guard the file run there until one fails.
What survives is printed with its place. Breaks that change nothing, or nothing that a result depends on, are listed
with their reason in `mutation_equivalent.tsv` and are not counted.

    python benchmarks/mutation.py --count 12 --seed 0 evaluation splits
"""

from __future__ import annotations

import argparse
import ast
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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
    "extractors/shards.py": ["tests/extractors/test_shards.py"],
    "extractors/seconds.py": ["tests/extractors/test_uniform.py", "tests/media/test_same.py", "tests/extractors/test_shards.py"],
    "extractors/selavi/[nt]*.py": ["tests/extractors/test_networks.py", "tests/extractors/test_weights.py"],
    "extractors/selavi/[pru]*.py": ["tests/extractors/test_released.py", "tests/extractors/test_uniform.py", "tests/extractors/test_colours.py"],
    "avzsl/media/*.py": ["tests/media/test_kinds.py", "tests/media/test_same.py", "tests/extractors/test_uniform.py"],
}  # fmt: skip

COMPARE: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip
ORDER = {
    "min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin", "minimum": "maximum", "maximum": "minimum", "floor": "ceil",
    "ceil": "floor", "any": "all", "all": "any", "idxmin": "idxmax", "idxmax": "idxmin", "cumsum": "cumprod", "amin": "amax", "amax": "amin",
    "sorted": "list",
}  # fmt: skip
AXES = {"axis", "dim", "dims"}
# What a call says about itself, its failures or its speed, but not about its result.
SPOKEN = {
    "strict", "description", "title", "exist_ok", "parents", "missing_ok", "non_blocking", "daemon", "frozen", "fused", "timeout",
    "name", "alias", "inplace", "memory_map", "weights_only", "set_to_none",
}  # fmt: skip
SILENT = {
    "debug",
    "info",
    "warning",
    "error",
    "exception",
    "cache",
    "lru_cache",
    "Field",
    "add_argument",
    "set_num_threads",
    "Check",
}


@dataclass(frozen=True)
class Mutant:
    """A file, the place of an expression in it (bytes of the source), its kind and its replacement."""

    path: str
    line: int
    text: str  # the line, stripped
    kind: str
    begin: int
    end: int
    before: str
    after: str

    @property
    def change(self) -> str:
        return f"{self.before} -> {self.after}"


class Finder(ast.NodeVisitor):
    """Collects the mutants of one file."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.source = path, source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Mutant] = []

    def add(self, node: ast.expr, kind: str, after: ast.AST) -> None:
        assert node.end_lineno is not None and node.end_col_offset is not None
        begin = self.starts[node.lineno - 1] + node.col_offset
        end = self.starts[node.end_lineno - 1] + node.end_col_offset
        text = self.source[self.starts[node.lineno - 1] : self.starts[node.lineno]].decode().strip()
        new = ast.unparse(ast.fix_missing_locations(after))
        self.found.append(Mutant(self.path, node.lineno, text, kind, begin, end, ast.unparse(node), new))

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Texts for people are not looked into."""

    def visit_Raise(self, node: ast.Raise) -> None:
        """Nor are messages."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Assertions only say what holds."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Annotations are not code."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for part in [*node.args.defaults, *(d for d in node.args.kw_defaults if d is not None), *node.body]:
            self.visit(part)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for part in node.body:
            self.visit(part)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in SILENT:
            return
        if name in ORDER and isinstance(node.func, ast.Attribute):
            self.add(node.func, "order", ast.Attribute(node.func.value, ORDER[name], ast.Load()))
        elif name in ORDER and (name != "sorted" or (len(node.args) == 1 and not node.keywords)):
            self.add(node.func, "order", ast.Name(ORDER[name], ast.Load()))
        for keyword in node.keywords:
            if keyword.arg in AXES and isinstance(keyword.value, ast.Constant | ast.UnaryOp):
                value = ast.literal_eval(keyword.value)
                if isinstance(value, int):
                    self.add(keyword.value, "axis", ast.Constant(1 if value == 0 else 0))
            elif keyword.arg not in SPOKEN:
                self.visit(keyword.value)
        for part in (node.func, *node.args):
            self.visit(part)

    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1 and type(node.ops[0]) in COMPARE:
            self.add(node, "comparison", ast.Compare(node.left, [COMPARE[type(node.ops[0])]()], node.comparators))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        # Joined texts and paths are no arithmetic.
        text = any(
            isinstance(side, ast.JoinedStr) or isinstance(getattr(side, "value", 0), str)
            for side in (node.left, node.right)
        )
        if type(node.op) in ARITHMETIC and not text:
            kind = "mask" if isinstance(node.op, ast.BitAnd | ast.BitOr) else "sign"
            self.add(node, kind, ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self.add(node, "mask", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Invert | ast.Not):
            self.add(node, "mask", node.operand)
        elif isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            self.add(node, "sign", node.operand)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.add(node, "constant", ast.Constant(not value))
        elif isinstance(value, int):
            self.add(node, "constant", ast.Constant(value + 1))
        elif isinstance(value, float):
            self.add(node, "constant", ast.Constant(value * 1.5 if value else 1.0))


def mutants(patterns: list[str], root: Path = ROOT) -> Iterator[Mutant]:
    """Yield every break of the files that match, in the order of the files."""
    for pattern in patterns:
        for path in sorted(root.glob(pattern)):
            source = path.read_bytes()
            finder = Finder(str(path.relative_to(root)), source)
            finder.visit(ast.parse(source))
            yield from finder.found


def mutated(source: bytes, mutant: Mutant) -> bytes:
    """Return the source with the break in it."""
    return source[: mutant.begin] + b"(" + mutant.after.encode() + b")" + source[mutant.end :]


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
            for mutant in mutants(PACKAGES[name][0]):
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
