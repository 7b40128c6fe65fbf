"""Read released split lists in their own format: AVCA's stage_*.csv and .txt, CJME's {trn,val,tst}/CLASS.txt."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from avzsl.config.base import expand
from avzsl.config.splits import ListsConfig
from avzsl.contracts.errors import DataError
from splits.files import Files, RemoteFile, lines, malformed

PLAIN = {".txt", ".tsv", ".csv"}
# The five lists that partition the benchmark; stage_2_train repeats the first three.
STAGES = {
    "stage_1_train": "train",
    "stage_1_val_seen": "val_seen",
    "stage_1_val_unseen": "val_unseen",
    "stage_2_test_seen": "test_seen",
    "stage_2_test_unseen": "test_unseen",
}
CJME_LINE = re.compile(r"(\d+), ([\w-]{11}), (\d+\.\d+), (\d+\.\d+)((?:, /[mtg]/\w+)+)")


@dataclass
class Lists:
    """Released lists: clips per subset and classes per subset, as the files say."""

    where: str
    clips: dict[str, dict[str, str]] = field(default_factory=dict)  # subset -> clip id -> class name
    classes: dict[str, list[str]] = field(default_factory=dict)  # subset -> class names
    problems: list[str] = field(default_factory=list)  # what the files say against each other


def read_lists(config: ListsConfig, variant: str, cache: Path | None) -> Lists:
    """Return the lists that `config` names; raises DataError, with file and line, if they are not what they should be."""
    if config.layout == "xlsa17":
        from splits.image_lists import image_lists

        return image_lists(expand(config.path or ""))
    path, files = _open(config, cache)
    return _cjme(path, files, config.within) if config.layout == "cjme" else _avca(path, files, config.within, variant)


def read_all_classes(config: ListsConfig, cache: Path | None) -> list[str]:
    """Return the classes of all_class.txt beside released lists: also those that take no part; nothing if it is not there."""
    _, files = _open(config, cache)
    member = files.find(f"{config.within}/all_class.txt".lstrip("/"))
    return [] if member is None else [line.strip() for _, line in lines(files.text(member))]


def has_subsets(config: ListsConfig | None) -> bool:
    """Return whether `config` names lists of subsets, not a plain text file of clip ids."""
    return config is not None and (config.path is None or Path(config.path).suffix not in PLAIN)


def read_ids(config: ListsConfig, cache: Path | None) -> set[str]:
    """Return the clip ids of all lists, or those of a plain text file of one id a line."""
    path, files = _open(config, cache)
    if path.is_file() and path.suffix in PLAIN:
        # Ids may begin with '-', so nothing is a comment; a table's first column is the id.
        found = {re.split(r"[,\t]", line)[0].strip() for _, line in lines(files.text(path.name))}
        if not found:
            raise DataError(path, "holds no clip id")
        return found
    # A variant drops classes, not clips: its clip lists are those of the main one.
    lists = read_lists(config, "main", cache)
    return {clip_id for clips in lists.clips.values() for clip_id in clips}


def _open(config: ListsConfig, cache: Path | None) -> tuple[Path, Files]:
    urls = (config.url,) if config.url else ()
    remote = RemoteFile(path=config.path, urls=urls, sha256=config.sha256)
    name = PurePosixPath(urlsplit(config.url or "").path).name or "lists"
    path = remote.locate(f"lists-{name}", cache, "lists.path")
    return path, Files(path)


def _avca(path: Path, files: Files, within: str, variant: str) -> Lists:
    folder, main = (f"{within}/{name}_split".lstrip("/") for name in (variant, "main"))
    lists = Lists(f"{path}/{folder}")
    # The clip lists of a variant are those of the main one, byte for byte; where they are left out, the main ones serve.
    clips = folder if files.find(f"{folder}/stage_1_train.csv") is not None else main
    for stage, subset in STAGES.items():
        lists.clips[subset] = _csv(path, files, f"{clips}/{stage}.csv")
        lists.classes[subset] = _names(path, files, f"{folder}/{stage}.txt")
    if files.find(f"{clips}/stage_2_train.csv") is not None:
        whole = set(_csv(path, files, f"{clips}/stage_2_train.csv"))
        parts = set().union(*(lists.clips[name] for name in ("train", "val_seen", "val_unseen")))
        lists.problems += [f"{c}: in stage_2_train.csv but in none of its three parts" for c in sorted(whole - parts)]
        lists.problems += [f"{c}: in a part of stage_2_train.csv but not in it" for c in sorted(parts - whole)]
    return lists


def _csv(path: Path, files: Files, ending: str) -> dict[str, str]:
    member = files.find(ending)
    if member is None:
        raise DataError(path, f"holds no {ending}")
    where = f"{path}/{member}"
    reader = csv.DictReader(io.StringIO(files.text(member), newline=""), strict=True)
    found: dict[str, str] = {}
    try:
        if not {"filename", "label"} <= set(reader.fieldnames or ()):
            raise DataError(where, f"expected the columns filename and label, got {reader.fieldnames}")
        for row in reader:
            if not row["filename"] or not row["label"]:
                raise malformed(where, reader.line_num, str(row), "a file name and a label")
            if row["filename"] in found:
                raise DataError(f"{where}, line {reader.line_num}", f"{row['filename']} is listed twice")
            found[row["filename"]] = row["label"]
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}", f"is not csv ({error})") from error
    return found


def _names(path: Path, files: Files, ending: str) -> list[str]:
    member = files.find(ending)
    if member is None:
        raise DataError(path, f"holds no {ending}")
    names = [line.strip() for _, line in lines(files.text(member))]
    if not names:
        raise DataError(f"{path}/{member}", "holds no class")
    return names


def _cjme(path: Path, files: Files, within: str) -> Lists:
    # The released archive keeps the class lists in a folder beside that of the clip lists.
    lists = Lists(f"{path}/{within}".rstrip("/"))
    unseen = set()
    for file in ("seen_class.txt", "unseen_class.txt"):
        member = files.find(file)
        if member is None:
            raise DataError(path, f"holds no {file}")
        names = re.findall(r"'([^']+)'", files.text(member))
        if not names:
            raise DataError(f"{path}/{member}", "holds no class name in quotes")
        unseen |= set(names) if file.startswith("unseen") else set()
        lists.classes["train" if file.startswith("seen") else "test_unseen"] = sorted(names)
    kinds = {"trn": ("train", None), "val": ("val_seen", "val_unseen"), "tst": ("test_seen", "test_unseen")}
    for member in sorted(files.names):
        found = re.search(r"(?:^|/)(trn|val|tst)/([^/]+)\.txt$", member)
        if found is None or within not in member or found[2].startswith("."):
            continue
        subset = kinds[found[1]][found[2] in unseen]
        _cjme_lines(f"{path}/{member}", files.text(member), lists.clips.setdefault(subset or "excluded", {}), found[2])
    if not lists.clips:
        raise DataError(path, "holds no list like trn/dog.txt")
    return lists


def _cjme_lines(where: str, text: str, clips: dict[str, str], class_name: str) -> None:
    for number, line in lines(text):
        match = CJME_LINE.fullmatch(line.strip())
        if match is None:
            raise malformed(where, number, line, "line number, YouTube id, start, end, labels")
        clip_id = f"{match[2]}_{round(float(match[3]) * 1000)}"
        if clip_id in clips:
            raise DataError(f"{where}, line {number}", f"{match[2]} is listed twice")
        clips[clip_id] = class_name
