"""The commands that the documents show: in blocks, a line each, and in code spans of the text."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").glob("*.md"),
    ROOT / "config/README.md",
    ROOT / "leaderboard/README.md",
]
PROGRAMS = ("avzsl", "snakemake", "make", "pip", "python", "python3", "pytest", "conda", "tensorboard", "source")
_COMMAND = re.compile(rf"(?:\w+=\S+ )*(?:\.venv/bin/)?(?:{'|'.join(PROGRAMS)})(?: |$)")


@dataclass(frozen=True)
class Command:
    """A line as a reader would paste it, without its comment; `whole`: from a block, else from the text."""

    page: str
    line: str
    whole: bool

    def parts(self) -> list[list[str]]:
        """Return the arguments of each command of the line, its program first, without folder and variables."""
        words: list[list[str]] = [[]]
        for word in shlex.split(self.line):
            if word == "&&":
                words.append([])
            elif words[-1] or not re.match(r"\w+=", word):
                words[-1].append(word.removeprefix(".venv/bin/") if not words[-1] else word)
        return words


def commands(page: Path) -> list[Command]:
    """Return what a page shows, in its order."""
    found, fenced, name = [], False, page.relative_to(ROOT).as_posix()
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif (fenced or line.startswith("    ")) and _COMMAND.match(line.strip()):
            found.append(Command(name, re.split(r"\s+#", line.strip())[0], True))
        elif not fenced:
            spans = re.findall(r"`([^`]+)`", line)
            found += [Command(name, span, False) for span in spans if _COMMAND.match(span)]
    return found
