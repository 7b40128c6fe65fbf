"""Weights are known by the checksum of their first use in a project."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.embeddings import embed_classes
from avzsl.pretrained.word_vectors import DEMO_WORDS
from avzsl.runtime import weights
from avzsl.runtime.weights import first_use, lock_weights
from extractors.weights import load_weights


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    lock_weights("config/weights.lock")
    yield tmp_path / "config/weights.lock"
    lock_weights(None)


def test_the_first_use_is_recorded_and_another_file_is_refused(lock: Path) -> None:
    state = {"a": torch.zeros(3)}
    save_file(state, "net.safetensors")
    given = WeightsConfig(path="net.safetensors")
    load_weights(given, state, Path("cache"))
    digest, size = sha256_file("net.safetensors"), Path("net.safetensors").stat().st_size
    known = json.loads(lock.read_text(encoding="utf-8"))
    assert known == {"net.safetensors": {"kind": "path", "bytes": size, "sha256": digest}}
    before = lock.read_bytes()
    load_weights(given, state, Path("cache"))
    assert lock.read_bytes() == before, "the same bytes change nothing"
    save_file({"a": torch.ones(3)}, "net.safetensors")
    with pytest.raises(
        DataError, match=r"take the entry 'net.safetensors' out of config/weights.lock to use the new one"
    ):
        load_weights(given, state, Path("cache"))
    # Who names the checksum says that it is meant.
    load_weights(WeightsConfig(path="net.safetensors", sha256=sha256_file("net.safetensors")), state, Path("cache"))
    lock.write_text("{}", encoding="utf-8")
    load_weights(given, state, Path("cache"))
    assert json.loads(lock.read_text(encoding="utf-8"))["net.safetensors"]["sha256"] == sha256_file("net.safetensors")


def test_a_table_of_word_vectors_counts_as_one_that_comes_with_us_does_not(lock: Path) -> None:
    classes = pd.DataFrame({"class_name": ["a"], "phrase": ["bouncing ball"]})
    embed_classes(classes, EmbeddingsConfig.model_validate({"table": "demo"}))
    assert not lock.exists()
    Path("words.txt").write_bytes(DEMO_WORDS.read_bytes())
    mine = EmbeddingsConfig.model_validate({"table": "words.txt"})
    embed_classes(classes, mine)
    Path("words.txt").write_bytes(DEMO_WORDS.read_bytes() + b"\n")
    with pytest.raises(DataError, match="this project was first built with"):
        embed_classes(classes, mine)


def test_outside_of_jobs_nothing_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w").write_bytes(b"1")
    assert first_use("w", Path("w")) == sha256_file("w")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "w"]


def test_jobs_side_by_side_lose_no_entry(lock: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from avzsl.runtime.weights import *; lock_weights('config/weights.lock')\n"
        "for n in range(20): first_use(f'{sys.argv[1]}-{n}', Path('w'), '0' * 64)"
    )
    Path("w").write_bytes(b"1")
    jobs = [subprocess.Popen([sys.executable, "-c", code, str(number)]) for number in range(3)]
    assert [job.wait(60) for job in jobs] == [0, 0, 0]
    assert len(json.loads(lock.read_text(encoding="utf-8"))) == 60


def test_a_folder_that_cannot_be_written_costs_a_warning(
    lock: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, value: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    Path("w").write_bytes(b"1")
    monkeypatch.setattr(weights, "write_json", refuse)
    assert first_use("w", Path("w")) == sha256_file("w")
    assert 'weights.lock: cannot be written (Read-only file system); it should hold {"w": {"bytes": 1' in caplog.text


@pytest.mark.parametrize("content", ["<<<<<<< mine", "[]", '{"w": {"sha256": "1"}}', '{"w": 1}'])
def test_a_record_that_is_none_is_named(lock: Path, content: str) -> None:
    lock.parent.mkdir()
    lock.write_text(content, encoding="utf-8")
    Path("w").write_bytes(b"1")
    with pytest.raises(DataError, match=r"weights.lock: .*delete it to record weights anew"):
        first_use("w", Path("w"))


def test_an_address_counts_as_it_is_spelled(lock: Path) -> None:
    Path("w").write_bytes(b"1")
    first_use("https://host.example/w?key=$KEY", Path("w"))
    assert json.loads(lock.read_text(encoding="utf-8"))["https://host.example/w?key=$KEY"]["kind"] == "url"
