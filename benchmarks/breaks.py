"""Which small breaks a file of Python has: comparisons, constants, axes, masks, signs and orders (`mutation.py` makes them)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


def mutants(patterns: list[str], root: Path) -> Iterator[Mutant]:
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
