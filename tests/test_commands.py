"""Every command of the documents has programs, sub-commands, options, targets, keys and files that exist: a renamed one fails."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from avzsl.cli import make_parser
from avzsl.config.load import ProjectConfig
from tests.commands import PAGES, ROOT, Command, commands

SHOWN = [command for page in sorted(PAGES) for command in commands(page)]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
# Written by `avzsl new ucf --released`, and by the reader of docs/own-videos.md.
MADE = {"config/ucf-released.yaml", "real.yaml"}


def check_avzsl(words: list[str], whole: bool) -> None:
    parser = make_parser(words)
    if whole or words[0] == "build":
        try:
            options, rest = parser.parse_known_args(words)
        except SystemExit as done:
            assert not done.code, "avzsl does not take these arguments"
            return
        if getattr(options, "passes_on", False):
            check_snakemake(rest, True)
        else:
            assert not rest, f"avzsl does not know {rest}"
    else:
        [commands] = [a for a in parser._actions if a.dest == "command"]
        if words[0].startswith("-"):
            assert words[0] in parser._option_string_actions
            return
        assert words[0] in commands.choices, f"no command avzsl {words[0]}"
        known = commands.choices[words[0]]._option_string_actions
        assert all(word in known for word in words if word.startswith("-"))


def check_snakemake(words: list[str], whole: bool) -> None:
    from snakemake.cli import get_argument_parser

    try:
        options = get_argument_parser().parse_args(words)
    except SystemExit as done:
        raise AssertionError("Snakemake does not take these arguments") from done
    for entry in options.config or []:
        assert entry.split("=")[0] in ProjectConfig.model_fields, f"no key {entry}"
    for file in options.configfile or []:
        assert str(file) in MADE or (ROOT / file).is_file()
    rules = "".join(
        path.read_text(encoding="utf-8")
        for path in ROOT.glob("workflow/**/*")
        if path.is_file() and path.suffix in ("", ".smk")
    )
    for target in options.targets:
        if not target.startswith(("benchmark_", "results/")):
            assert re.search(rf"^rule {target}:", rules, re.MULTILINE), f"no target {target}"


def check_make(words: list[str], whole: bool) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        what = rf"^{word.split('=')[0]} \?=" if "=" in word else rf"^{word}:"
        assert re.search(what, makefile, re.MULTILINE), f"the Makefile has no {word}"


def check_pip(words: list[str], whole: bool) -> None:
    for word in words:
        for extra in re.findall(r"^(?:\.|avzsl)\[(\w+)\]$", word):
            assert extra in EXTRAS, f"no extra {extra}"
    for option, file in pairwise(words):
        assert option not in ("-r", "--requirement") or (ROOT / file).is_file()


def check_python(words: list[str], whole: bool) -> None:
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]), f"no module {words[1]}"
        return
    source = (ROOT / words[0]).read_text(encoding="utf-8")
    for word in words[1:]:
        assert not word.startswith("--") or f'"{word}"' in source, f"{words[0]} has no {word}"


def check_pytest(words: list[str], whole: bool) -> None:
    assert all((ROOT / word).exists() for word in words if word.startswith("tests"))


def check_conda(words: list[str], whole: bool) -> None:
    assert all((ROOT / word).is_file() for word in words if word.endswith(".yml"))


CHECKS = {
    "avzsl": check_avzsl, "snakemake": check_snakemake, "make": check_make, "pip": check_pip, "pytest": check_pytest,
    "python": check_python, "python3": check_python, "conda": check_conda,
}  # fmt: skip


def check(command: Command) -> None:
    for program, *words in command.parts():
        if words and program in CHECKS:
            CHECKS[program](words, command.whole)


@pytest.mark.parametrize("command", SHOWN, ids=lambda c: f"{Path(c.page).stem}: {c.line[:60]}")
def test_it_exists(command: Command) -> None:
    check(command)


def test_the_documents_show_commands() -> None:
    assert len(SHOWN) > 100 and len([c for c in SHOWN if c.page == "README.md" and c.whole]) > 20


@pytest.mark.parametrize(
    "line",
    [
        "avzsl predict CLIP.mp4 --lables a", "avzsl foretell", "avzsl build --coers all", "snakemake --coers all", "make dem", "make test PROCESSES=2",
        "snakemake --cores all spilts", "snakemake --config benchmark=ucf", "snakemake --configfile config/none.yaml", "pip install -e .[none]",
        "python benchmarks/none.py", "python benchmarks/scale.py --none", "pytest tests/none", "python -m none",
    ],
)  # fmt: skip
def test_a_renamed_one_is_noticed(line: str) -> None:
    with pytest.raises((AssertionError, OSError)):
        check(Command("README.md", line, True))
