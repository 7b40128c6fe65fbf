"""The pool of decoding processes on processes that only say what they were asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avzsl.config.features import FeaturesConfig
from avzsl.media.process import DiedError, LateError
from extractors import pool as module
from extractors.base import ClipInfo, Window
from extractors.pool import DecodePool, End, Hardware, _Process

FEATURES = FeaturesConfig.model_validate({"extractor": "selavi", "weights": {"random_seed": 0}})
Said = list[tuple[str, int, str | None, int | None]]


class Fake:
    """A process whose files are lists of times; a status among them ends the process, on the GPU alone where it says so."""

    def __init__(self, files: dict[str, list[Any]], card: int | None, said: Said) -> None:
        self.files, self.card, self.said, self.killed, self.forgotten = files, card, said, 0, 0

    def read(self, path: Path, skip: int, refused: str | None) -> Any:
        self.said.append((path.name, skip, refused, self.card))
        for time in self.files[path.name][skip:]:
            if isinstance(time, str):
                status, _, where = time.partition(" ")
                if not where or self.card is not None:
                    yield End(status, f"{status} {path.name}", ClipInfo())
                    return
                continue
            yield Window(time, time + 1)
        yield End("ok", refused, ClipInfo())

    def kill(self) -> None:
        self.killed += 1

    def forget(self) -> None:
        self.forgotten += 1


def run(files: dict[str, list[Any]], monkeypatch, workers: int = 1, hardware: Hardware | None = None) -> Any:
    said: Said = []
    begun: list[Fake] = []

    def start(self: DecodePool, card: int | None) -> Fake:
        begun.append(Fake(files, card, said))
        return begun[-1]

    monkeypatch.setattr(DecodePool, "_start", start)
    with DecodePool(FEATURES, workers, None, hardware) as pool:
        found = [
            [i if isinstance(i, End) else i.start for i in items] for items in pool.clips([Path(f) for f in files])
        ]
    return found, said, begun


def ends(found: list[list[Any]]) -> list[tuple[list[float], str, str | None]]:
    return [(clip[:-1], clip[-1].status, clip[-1].reason) for clip in found]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_clips_come_in_their_order(monkeypatch, workers) -> None:
    files = {f"f{k}": [float(10 * k + i) for i in range(k % 4)] for k in range(12)}
    found, said, begun = run(files, monkeypatch, workers)
    assert ends(found) == [(times, "ok", None) for times in files.values()]
    assert sorted(said) == sorted((name, 0, None, None) for name in files)
    assert 1 <= len(begun) <= max(workers, 1) and all((one.killed, one.forgotten) == (1, 1) for one in begun)


def test_a_process_that_dies_costs_its_clip(monkeypatch) -> None:
    files: dict[str, list[Any]] = {"a": [0.0, "decoder_crash"], "b": ["time_limit"], "c": ["corrupt"], "d": [5.0]}
    found, said, begun = run(files, monkeypatch)
    assert ends(found) == [
        ([0.0], "decoder_crash", "decoder_crash a"), ([], "time_limit", "time_limit b"), ([], "corrupt", "corrupt c"), ([5.0], "ok", None),
    ]  # fmt: skip
    assert [name for name, *_ in said] == [*"abcd"] and len(begun) == 3


def test_what_dies_under_the_gpus_decoder_is_read_on_by_the_cpu(monkeypatch) -> None:
    files: dict[str, list[Any]] = {
        "a": [0.0],
        "b": [0.0, 1.0, "decoder_crash gpu", 2.0],
        "c": [7.0, "corrupt"],
        "d": ["decoder_crash"],
    }
    found, said, begun = run(files, monkeypatch, hardware=Hardware(card=5, processes=1))
    why = "under the GPU's decoder decoder_crash b"
    assert ends(found) == [
        ([0.0], "ok", None),
        ([0.0, 1.0, 2.0], "ok", why),
        ([7.0], "corrupt", "corrupt c"),
        ([], "decoder_crash", "decoder_crash d"),
    ]
    # From there on the process is one of the CPU.
    assert said == [
        ("a", 0, None, 5),
        ("b", 0, None, 5),
        ("b", 2, why, None),
        ("c", 0, None, None),
        ("d", 0, None, None),
    ]
    assert len(begun) == 2
    assert [DecodePool(FEATURES, 4, None, Hardware(5, 2))._card(n) for n in range(4)] == [5, 5, None, None]
    assert DecodePool(FEATURES, 4)._card(0) is None


def test_a_fault_of_the_pool_itself_is_raised(monkeypatch) -> None:
    def start(self: DecodePool, card: int | None) -> Any:
        raise ValueError("no process")

    monkeypatch.setattr(DecodePool, "_start", start)
    with pytest.raises(ValueError, match="no process"), DecodePool(FEATURES, 1) as pool:
        list(next(pool.clips([Path("a")])))


def test_each_second_that_is_shown_adds_to_the_time_of_a_clip(monkeypatch) -> None:
    """A limit of 2 s: windows that end at 3, 1 and 4 s add 3, 0 and 1 s."""
    left: list[float] = []
    clocks: list[Any] = []
    headers: list[Any] = [{"kind": "window", "start": end - 1.0, "end": end} for end in (3.0, 1.0, 4.0)]
    info = vars(ClipInfo(note="odd"))
    sent: list[Any] = []

    def receive(clock: Any) -> Any:
        left.append(round(clock.left, 3))
        header = headers.pop(0)
        if isinstance(header, Exception):
            raise header
        return header, {"audio": np.ones(2)}

    one = object.__new__(_Process)
    one._limit_s, one._feed = 2.0, None
    one._process = SimpleNamespace(send=sent.append, receive=receive, death=lambda: "signal 9")  # type: ignore[assignment]

    def clock(limit: float) -> Any:
        clocks.append(SimpleNamespace(left=limit))
        return clocks[-1]

    monkeypatch.setattr(module, "Clock", clock)
    for last, expected in (
        ({"kind": "end", "info": info}, ("ok", "odd")), ({"kind": "end", "info": info, "status": "corrupt", "reason": "x"}, ("corrupt", "x")),
        (LateError(), ("time_limit", "decoding took more than 6 s")), (DiedError(), ("decoder_crash", "the decoding process died on it (signal 9)")),
    ):  # fmt: skip
        left.clear(), sent.clear()
        headers[:] = [{"kind": "window", "start": end - 1.0, "end": end} for end in (3.0, 1.0, 4.0)] + [last]
        found = list(one.read(Path("p"), 4, None))
        assert sent == [{"path": "p", "skip": 4, "refused": None}] and left == [2.0, 5.0, 5.0, 6.0]
        assert [w.end for w in found[:-1]] == [3.0, 1.0, 4.0] and (found[-1].status, found[-1].reason) == expected
