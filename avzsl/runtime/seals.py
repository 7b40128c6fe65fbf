"""What finished jobs left and what of the user's they read, so that a damaged or replaced file is noticed.

A seal is a small record beside Snakemake's own (`.snakemake`): for each file its size, times, inode and SHA-256. A file
whose stat is as it was is taken to be as it was; any other is read and hashed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avzsl.contracts.atomic import write_json
from avzsl.contracts.hashing import sha256_file, sha256_text, sha256_value

# In the working directory, as Snakemake's own records are.
STATE = Path(".snakemake/avzsl")
SEALS = STATE / "seals"

# size, modification time, change time (ns), inode, SHA-256
Print = list[Any]

_used: dict[str, str | None] | None = None
_kept: dict[str, str | None] = {}


@dataclass(frozen=True)
class Changed:
    """A job to be done again: one of its outputs, and a sentence that says why."""

    output: str
    path: str
    why: str


@dataclass
class Seal:
    """`outputs`: what the job wrote. `used`: files of the user's that it read. `kept`: other files that it left.

    `asked` is a hash of the job's rule, params and inputs.
    """

    outputs: dict[str, Print]
    used: dict[str, Print] = field(default_factory=dict)
    kept: dict[str, Print] = field(default_factory=dict)
    asked: str = ""


def uses(path: str | Path, sha256: str | None = None) -> None:
    """Note that the job at work reads a file (or all files of a folder) that no rule names; nothing outside a job."""
    if _used is None:
        return
    path = Path(path)
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        _used[_spelled(file)] = sha256


def keeps(path: str | Path, sha256: str | None = None) -> None:
    """Note that the job at work leaves a file besides its outputs, such as a media file; nothing outside a job."""
    if _used is not None:
        _kept[_spelled(path)] = sha256


@contextlib.contextmanager
def noting() -> Iterator[None]:
    """Collect what `uses` and `keeps` are told until the block ends; `seal` takes it."""
    global _used  # noqa: PLW0603 (a process does one job)
    _used = {}
    _kept.clear()
    try:
        yield
    finally:
        _used = None


def asked_of(rule: str, params: Mapping[str, Any], inputs: Iterable[str]) -> str:
    """Return a hash of what a job was asked to do."""
    return sha256_value([rule, dict(params), [str(path) for path in inputs]])


def seal(outputs: Iterable[str | Path], asked: str = "") -> None:
    """Write the seal of a job that has ended well; the files of an output folder count one by one."""
    files = [
        file
        for path in outputs
        for file in (sorted(p for p in Path(path).rglob("*") if p.is_file()) if Path(path).is_dir() else [Path(path)])
    ]
    if not files:
        return
    _write(
        Seal(
            {_spelled(file): _print(file) for file in files},
            {name: _print(Path(name), sha) for name, sha in (_used or {}).items() if Path(name).is_file()},
            {name: _print(Path(name), sha) for name, sha in _kept.items() if Path(name).is_file()},
            asked,
        )
    )


def reseal(output: str | Path) -> None:
    """Take a job's first output as it is now, after a command has changed it; nothing if it has no seal."""
    found = read_seal([output])
    if found is not None and Path(output).is_file():
        found.outputs[_spelled(output)] = _print(Path(output))
        _write(found)


def unseal(outputs: Iterable[str | Path]) -> None:
    """Forget the seal of a job that begins again."""
    for path in _places(outputs):
        path.unlink(missing_ok=True)


def read_seal(outputs: Iterable[str | Path]) -> Seal | None:
    """Return the seal of the job with these outputs, None if there is none that can be read."""
    for path in _places(outputs):
        found = _read(path)
        if found is not None:
            return found
    return None


def intact(found: Seal) -> bool:
    """Return whether every output is as it was sealed."""
    return all(_same(name, known) for name, known in found.outputs.items())


def changed_use(outputs: Iterable[str | Path]) -> frozenset[str]:
    """Return the files that the job with these outputs read or left, and whose content is another now."""
    found = read_seal(outputs)
    if found is None:
        return frozenset()
    files = {**found.used, **found.kept}
    return frozenset(name for name, known in files.items() if Path(name).is_file() and not _same(name, known))


def changes() -> list[Changed]:
    """Return the jobs whose files are not as they were left, reading only what has changed its stat.

    An output that two jobs have sealed, since another version of the workflow gave it to another rule, is that one's whose
    seal it fits, else the later one's: a clock may have been set back meanwhile.
    """
    sealed = [(_written(place), place.name, one) for place in SEALS.glob("*.json") if (one := _read(place)) is not None]
    owner: dict[str, tuple[str, Print]] = {}
    for _, place, one in sorted(sealed, key=lambda entry: entry[:2]):
        for name, known in one.outputs.items():
            if name not in owner or _same(name, known) or not _same(name, owner[name][1]):
                owner[name] = place, known
    found: list[Changed] = []
    for _, place, one in sorted(sealed, key=lambda entry: entry[1]):
        found += _changes(one, {name for name in one.outputs if owner[name][0] == place})
    return found


def _written(place: Path) -> int:
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return 0


def _changes(one: Seal, own: set[str]) -> Iterator[Changed]:
    first = next(iter(one.outputs))
    for name, known in one.outputs.items():
        if name not in own:
            continue
        if not Path(name).is_file():
            yield Changed(first, name, "is gone; it is made again")
        elif not _same(name, known):
            yield Changed(first, name, "is not as it was written; it is made again")
    for group, what in ((one.used, f"has changed since {first} was made from it"), (one.kept, "is not as it was left")):
        there = [name for name in group if Path(name).is_file()]
        for name in there:
            if not _same(name, group[name]):
                yield Changed(first, name, what)
        # All gone: a disk that is not mounted, or media deleted because their features are stored.
        if there and len(there) < len(group):
            gone = next(name for name in group if name not in set(there))
            yield Changed(first, gone, "is gone")


def _print(path: Path, sha256: str | None = None) -> Print:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, sha256 or sha256_file(path)]


def _same(name: str, known: Print) -> bool:
    try:
        facts = Path(name).stat()
        if [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino] == known[:4]:
            return True
        return facts.st_size == known[0] and sha256_file(name) == known[4]
    except OSError:
        return False


def _spelled(path: str | Path) -> str:
    """Return a path as seals spell it: relative to the working directory unless outside it."""
    absolute = os.path.normpath(os.path.join(os.getcwd(), path))  # noqa: PTH109, PTH118 (a link stays what it is)
    inside = os.path.relpath(absolute)
    return absolute if inside.startswith("..") else inside


def _places(outputs: Iterable[str | Path]) -> list[Path]:
    """Return where the seal of a job may be: it is called after the first output, of a folder after its first file."""
    first = next(iter(outputs), None)
    if first is None:
        return []
    names = [_spelled(first)]
    if Path(first).is_dir():
        names += [_spelled(file) for file in sorted(p for p in Path(first).rglob("*") if p.is_file())[:1]]
    return [SEALS / f"{sha256_text(name)[:32]}.json" for name in names]


def _write(one: Seal) -> None:
    if not SEALS.parent.parent.is_dir():  # not in a working directory of Snakemake
        return
    first = next(iter(one.outputs))
    write_json(
        SEALS / f"{sha256_text(first)[:32]}.json",
        {"outputs": one.outputs, "used": one.used, "kept": one.kept, "asked": one.asked},
    )


def _read(path: Path) -> Seal | None:
    try:
        one = Seal(**json.loads(path.read_text(encoding="utf-8")))
        return one if one.outputs else None
    except (OSError, ValueError, TypeError):
        return None
