"""Finished work is made once, whoever asks for it, and a broken entry is made again."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from avzsl.runtime.cache import cached

KEY = "ab" * 32


def ask(cache: Path | None, out: Path, made: list[str], text: str = "result", **more: object) -> bool:
    def make() -> None:
        made.append(text)
        out.parent.mkdir(exist_ok=True)
        out.write_text(text, encoding="utf-8")

    return cached(cache, KEY, {"out.txt": out}, make, **more)  # type: ignore[arg-type]


def test_the_second_who_asks_gets_the_first_ones_bytes(tmp_path: Path) -> None:
    made: list[str] = []
    assert not ask(tmp_path / "cache", tmp_path / "one/out.txt", made)
    assert ask(tmp_path / "cache", tmp_path / "two/out.txt", made, "another")
    assert made == ["result"]
    assert (tmp_path / "two/out.txt").read_text() == "result"
    (tmp_path / "two/out.txt").write_text("changed by its owner")
    assert ask(tmp_path / "cache", tmp_path / "three/out.txt", made)
    assert (tmp_path / "three/out.txt").read_text() == "result", "what is handed out is a copy"


def test_without_a_cache_everything_is_made(tmp_path: Path) -> None:
    made: list[str] = []
    assert not ask(None, tmp_path / "out.txt", made) and not ask(None, tmp_path / "out.txt", made)
    assert len(made) == 2


def test_a_broken_entry_is_made_again(tmp_path: Path) -> None:
    made: list[str] = []
    ask(tmp_path / "cache", tmp_path / "one/out.txt", made)
    [stored] = (tmp_path / "cache").rglob("out.txt")
    stored.write_text("rotten", encoding="utf-8")
    assert not ask(tmp_path / "cache", tmp_path / "two/out.txt", made)
    assert (tmp_path / "two/out.txt").read_text() == "result"
    assert ask(tmp_path / "cache", tmp_path / "three/out.txt", made) and len(made) == 2


def test_what_is_not_good_is_neither_kept_nor_taken(tmp_path: Path) -> None:
    made: list[str] = []
    assert not ask(tmp_path / "cache", tmp_path / "one/out.txt", made, good=lambda: False)
    assert not ask(tmp_path / "cache", tmp_path / "two/out.txt", made)
    assert not ask(tmp_path / "cache", tmp_path / "three/out.txt", made, good=lambda: False)
    assert len(made) == 3


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cached(tmp_path / "cache", KEY, {"out.txt": tmp_path / "out.txt"}, fail)
    assert [path.suffix for path in (tmp_path / "cache").rglob("*") if path.is_file()] == [".lock"]


def test_a_cache_that_cannot_be_written_to_costs_nothing_but_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file is in the way")
    made: list[str] = []
    assert not ask(tmp_path / "cache", tmp_path / "out.txt", made)
    assert made and "shared cache" in caplog.text


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    made: list[str] = []
    started = threading.Barrier(2)
    hits = []

    def one(number: int) -> None:
        started.wait()
        hits.append(ask(tmp_path / "cache", tmp_path / f"{number}/out.txt", made))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(hits) == [False, True] and made == ["result"]
