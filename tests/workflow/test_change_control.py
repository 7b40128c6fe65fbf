"""What runs again after a change, as a table; and what does not."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

from avzsl.config.dataset import DatasetConfig
from avzsl.config.sources import ArchiveSource, HttpSource, PaceConfig, TransferConfig, YoutubeSource
from avzsl.contracts.hashing import sha256_file
from avzsl.results.project import dataset_part
from tests.workflow.keyed import (
    CONFIG,
    DATASET,
    EMBEDDED,
    EVERYTHING,
    FEATURE_SET,
    FEATURES,
    GONE,
    METHOD,
    NOTHING,
    PACKED,
    PAGE,
    RUN,
    SECTIONS,
    Plan,
    change,
    write_keyed,
)
from tests.workflow.planner import Planner
from tests.workflow.small import add_clips, small_environment, snakefile, write_small

pytestmark = pytest.mark.timeout(600)


def snakemake(folder: Path, *arguments: str) -> str:
    """Run Snakemake with the stub extractor; return what it said."""
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", snakefile(), "--cores", "2", *arguments],
        cwd=folder, env=small_environment(), capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-5000:]
    return result.stdout + result.stderr


def jobs(said: str) -> Plan:
    """Return how many jobs of each rule Snakemake began or planned."""
    names = re.findall(r"^(?:local)?(?:rule|checkpoint) (\w+):$", said, flags=re.MULTILINE)
    return Counter(name for name in names if name != "all" and not name.startswith("catalogued_"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project in which everything has been made."""
    folder = tmp_path_factory.mktemp("finished")
    write_keyed(folder)
    assert jobs(snakemake(folder)) == EVERYTHING
    return folder


@pytest.fixture(scope="module")
def planned(finished: Path) -> Iterator[Callable[[], str]]:
    """What a dry run of the finished project says."""
    planner = Planner(finished, small_environment())
    assert jobs(planner("-s", snakefile(), "--cores", "2", "-n")) == NOTHING
    yield lambda: planner("-s", snakefile(), "--cores", "2", "-n")
    planner.close()


def plan_with(folder: Path, planned: Callable[[], str], name: str, key: str, value: object) -> Plan | str:
    """Return what runs again where one key has another value, or the last line of a run that is refused."""
    path = folder / "config" / name
    before = path.read_text(encoding="utf-8")
    values = yaml.safe_load(before)
    change(values, key, value)
    try:
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return jobs(planned())
    except AssertionError as error:
        return str(error).strip().splitlines()[-1]
    finally:
        path.write_text(before, encoding="utf-8")


def test_the_first_use_of_vectors_is_recorded_and_runs_nothing_again(
    finished: Path, planned: Callable[[], str]
) -> None:
    recorded = json.loads((finished / "config/weights.lock").read_text(encoding="utf-8"))
    table = finished / "words.txt"
    entry = {"kind": "path", "bytes": table.stat().st_size, "sha256": sha256_file(table)}
    assert recorded == {"words.txt": entry}
    assert jobs(planned()) == NOTHING


@pytest.mark.parametrize("what", SECTIONS)
def test_the_table_has_every_key(what: str) -> None:
    section = SECTIONS[what]
    assert set(section.keys) | section.elsewhere == set(section.model.model_fields)
    assert not set(section.keys) & section.elsewhere


@pytest.mark.parametrize("what", SECTIONS)
def test_what_each_key_runs_again(finished: Path, planned: Callable[[], str], what: str) -> None:
    section = SECTIONS[what]
    wrong = {}
    for key, (value, expected) in section.keys.items():
        dotted = f"{section.prefix}.{key}" if section.prefix else key
        found = plan_with(finished, planned, section.file, dotted, value)
        if found != +expected:
            wrong[key] = found, expected
    assert not wrong, "\n".join(f"{key}: {found}, not {expected}" for key, (found, expected) in wrong.items())


IMPORTED = Counter(import_features=1) + PACKED
FURTHER: dict[str, tuple[str, dict[str, object], Plan]] = {
    "a method of sequences": (METHOD, {"module": "tcaf", "inputs": "sequences", "options": {}, "presets": {}, "datasets": {}}, Counter(steps=1) + RUN),
    "random weights": (FEATURE_SET, {"weights": {"random_seed": 1}}, FEATURES),
    "features that exist already": (FEATURE_SET, {"weights": GONE, "released": "released"}, IMPORTED),
    "features of one's own": (FEATURE_SET, {"weights": GONE, "arrays": "released"}, IMPORTED),
    "a split that no benchmark takes": (DATASET, {"splits.third": {"seed": 3}}, PAGE),
    "a seed less": (CONFIG, {"seeds": [0], "methods": ["avca"]}, NOTHING),
}  # fmt: skip


@pytest.mark.parametrize("what", FURTHER)
def test_what_several_keys_run_again(finished: Path, planned: Callable[[], str], what: str) -> None:
    name, changes, expected = FURTHER[what]
    path = finished / "config" / name
    before = path.read_text(encoding="utf-8")
    values = yaml.safe_load(before)
    for key, value in changes.items():
        change(values, key, value)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    try:
        assert jobs(planned()) == expected
    finally:
        path.write_text(before, encoding="utf-8")


REQUIRED = {"archive": {"archives": ["a.zip"]}, "http": {}, "youtube": {}}
OTHER = {"archives": ["b.zip"], "unpack_to": "x", "cookies": "c", "cookies_from_browser": "firefox", "licences": ["cc"],
         "extractors": ["vimeo"], "player_client": ["web"], "sleep_s": [1.0, 2.0], "requests_per_hour": 7.0}  # fmt: skip


@pytest.mark.parametrize("kind", [ArchiveSource, HttpSource, YoutubeSource])
def test_every_key_of_a_source_but_secrets_is_asked_of_the_media(kind: type[BaseModel]) -> None:
    """One source stands for all keys of the others: the rule `media` is asked with what `dataset_part` holds."""
    name = kind.model_fields["kind"].annotation.__args__[0]  # type: ignore[union-attr]

    def asked(**keys: object) -> object:
        source = {"kind": name, **REQUIRED[name], **keys}
        whole = {"catalog": {"module": "folder"}, "embeddings": {"table": "demo"}, "sources": [source]}
        return dataset_part(DatasetConfig.model_validate(whole), "sources", "media")

    for key, field in kind.model_fields.items():
        if key == "kind":
            continue
        if field.annotation in (PaceConfig, TransferConfig):
            for inner, default in field.get_default().model_dump().items():
                assert asked(**{key: {inner: another(inner, default)}}) != asked(), f"{key}.{inner}"
        elif "SecretStr" in str(field.annotation):
            two = [asked(**{key: secret(field.annotation, value)}) for value in ("hidden-1", "hidden-2")]
            assert two[0] == two[1] and "hidden" not in str(two[0]), f"{key} is a secret"
        else:
            assert asked(**{key: another(key, field.get_default(call_default_factory=True))}) != asked(), key


def another(key: str, value: object) -> object:
    """Return a valid value other than the default."""
    if key in OTHER:
        return OTHER[key]
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value or ''}x"


def secret(annotation: object, value: str) -> object:
    """Return a value that the type of a secret takes."""
    for shape in (value, [value], {"a": value}, {"a": {"b": [value]}}):
        try:
            TypeAdapter(annotation).validate_python(shape)
        except ValueError:
            continue
        return shape
    raise AssertionError(annotation)


CONTENT = {
    "the table of words": ("words.txt", EMBEDDED),
    "the weights": ("weights.pt", FEATURES),
    "a clip": ("videos/bouncing ball bell/clip1.mp4", Counter(media=1, extract=1) + PACKED),
}


@pytest.mark.parametrize("what", CONTENT)
def test_new_content_under_an_old_name_and_time_is_noticed(
    finished: Path, planned: Callable[[], str], what: str
) -> None:
    name, expected = CONTENT[what]
    path = finished / name
    before, facts = path.read_bytes(), path.stat()
    changed = bytearray(before)
    changed[-1] ^= 1
    try:
        path.write_bytes(changed)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        said = planned()
        assert jobs(said) == expected
        assert f"{name}: has changed since" in said
        path.write_bytes(before)
        os.utime(path)
        assert jobs(planned()) == NOTHING, "a new time alone is no change"
    finally:
        path.write_bytes(before)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def cpu_seconds(folder: Path, *arguments: str) -> float:
    """Return the CPU time of a run of Snakemake, the lesser of two."""
    spent = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
        said = subprocess.run(
            command, cwd=folder, env=small_environment(), capture_output=True, text=True, check=True, timeout=100
        ).stderr
        assert "Nothing to be done" in said
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


@pytest.mark.slow  # a ratio of times, for a machine that does nothing else
def test_a_second_run_costs_little_more_than_snakemake_itself(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text('rule all:\n    input: "Snakefile"\n', encoding="utf-8")
    # Of the 2 seconds that it may take on an idle core, Snakemake's start alone is more than half.
    assert cpu_seconds(finished, "-s", snakefile()) < 2.2 * cpu_seconds(tmp_path)


def test_comments_and_logs_run_nothing_again(finished: Path, planned: Callable[[], str]) -> None:
    config = finished / "config"
    for path in config.rglob("*.yaml"):
        path.write_text(f"# a comment\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    logs = [path for path in (finished / "logs").rglob("*") if path.is_file()]
    assert logs
    for path in logs:
        path.write_text("another log\n", encoding="utf-8")
    logs[0].unlink()
    assert "Nothing to be done" in planned()


def test_time_stamps_of_files_and_scripts_run_nothing_again(finished: Path, planned: Callable[[], str]) -> None:
    """A copied project or a fresh checkout has new time stamps and the old content."""
    later = time.time() + 5
    tables = [path for path in (finished / "results" / "small").rglob("*.parquet") if path.is_file()]
    scripts = list((Path(snakefile()).parent / "workflow/scripts").glob("*.py"))
    stamps = {path: path.stat() for path in [*tables, *scripts]}
    try:
        for path in stamps:
            os.utime(path, (later, later))
        assert jobs(planned()) == NOTHING
    finally:
        for path, stat in stamps.items():
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_clips_more_run_only_their_shards(tmp_path: Path) -> None:
    from avzsl.contracts.schemas import CLIPS
    from avzsl.contracts.tables import read_table

    write_small(tmp_path, shards=4)
    snakemake(tmp_path)
    shards = sorted((tmp_path / "results/small/catalog/shards").glob("*.parquet"))
    before = [path.read_bytes() for path in shards]
    features = {path: path.stat().st_mtime_ns for path in (tmp_path / "results/small/features/stub/shards").iterdir()}

    add_clips(tmp_path, ["one more"], ("bouncing ball bell",))
    made = jobs(snakemake(tmp_path))

    changed = [path.stem for path, old in zip(shards, before, strict=True) if path.read_bytes() != old]
    assert len(changed) == 1, "one clip is in one shard"
    assert sum(len(read_table(path, CLIPS)) for path in shards) == 33
    assert made == Counter(catalog_small=1, shards_small=1, media=1, extract=1, embeddings=1, split=1) + PACKED
    again = {path.stem for path, stamp in features.items() if path.stat().st_mtime_ns != stamp}
    assert again == set(changed)
    assert "Nothing to be done" in snakemake(tmp_path)
