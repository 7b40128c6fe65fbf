"""What is asked of torch.cuda, on a make-believe one: every line of the GPU's path runs but the kernels."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.runtime import accelerator
from avzsl.runtime.accelerator import WARM_UP, Cuda, LostError, choose_device, current_card, held_card, kind_of
from avzsl.runtime.checkpoint import random_state, set_random_state
from extractors.feed import DeviceFeed

CARD = torch.device("cuda", 1)
HERE = torch.device("cpu")


class Calls(list[str]):
    """What was asked, in its order, and what the driver answers."""

    pinned: int = 0  # cudaHostRegister's code


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """A torch.cuda of two cards that writes down what it is asked."""
    calls = Calls()

    class Stream:
        def __init__(self, device: torch.device | None = None) -> None:
            calls.append("stream")

        def wait_stream(self, other: Any) -> None:
            calls.append("wait")

    class Event:
        def record(self, stream: Any = None) -> None:
            calls.append("record")

        def synchronize(self) -> None:
            calls.append("synchronize event")

    class Graph:
        def replay(self) -> None:
            calls.append("replay")

    def block(name: str) -> Callable[..., Any]:
        @contextlib.contextmanager
        def entered(*given: Any, **named: Any) -> Iterator[None]:
            calls.append(" ".join([name, *map(str, named.values())]))
            yield
            calls.append(f"end of {name}")

        return entered

    def said(name: str, value: Any = None) -> Callable[..., Any]:
        def function(*given: Any) -> Any:
            calls.append(name)
            return value

        return function

    main = Stream()
    calls.clear()
    driver = SimpleNamespace(
        cudaHostRegister=lambda *given: calls.append("register") or calls.pinned,  # type: ignore[func-returns-value]
        cudaHostUnregister=said("unregister"),
    )
    state = torch.arange(16, dtype=torch.uint8)
    for name, value in {
        "Stream": Stream, "Event": Event, "CUDAGraph": Graph, "current_stream": lambda device=None: main,
        "stream": block("in stream"), "graph": block("capture"), "device": block("on card"),
        "synchronize": said("finish"), "empty_cache": said("forget"), "is_available": lambda: True,
        "device_count": lambda: 2, "current_device": lambda: 1, "cudart": lambda: driver,
        "get_device_properties": lambda number: SimpleNamespace(uuid=f"GPU-{number}"),
        "mem_get_info": lambda device: (10 << 30, 80 << 30), "memory_reserved": lambda device: 5 << 30,
        "memory_allocated": lambda device: 2 << 30, "max_memory_allocated": lambda device: 6 << 30,
        "reset_peak_memory_stats": said("reset peak"), "get_rng_state": lambda device: state,
        "set_rng_state": lambda given, device: calls.append(f"random {int(given.sum())} on {device}"),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    return calls


def test_the_card_is_the_current_one(cuda: Calls) -> None:
    assert choose_device("auto") == choose_device("cuda") == CARD
    assert choose_device("cpu") == HERE
    assert (kind_of("auto"), kind_of("cpu"), current_card()) == ("cuda", "cpu", 1)
    assert type(accelerator.accelerator(CARD)) is Cuda


def test_a_job_holds_its_card(cuda: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asked: list[Any] = []

    @contextlib.contextmanager
    def claim(kind: str, names: list[str], share: int) -> Iterator[int]:
        asked.append((kind, names, share))
        yield 1

    monkeypatch.setattr(accelerator, "claim", claim)
    with held_card("extract", "cuda", 2):
        assert cuda == ["on card"]
    assert asked == [("extract", ["GPU-0", "GPU-1"], 2)]
    cuda.clear()
    with held_card("extract", "cpu"):
        assert not cuda


def test_memory(cuda: Calls) -> None:
    card = Cuda(CARD)
    assert card.free_bytes() == (10 + 5 - 2) << 30, "what torch keeps and does not use is free"
    assert card.peak_bytes(lambda: cuda.append("work")) == (6 - 2) << 30
    assert cuda == ["reset peak", "work"]


def test_work_is_recorded_after_it_has_warmed_up(cuda: Calls) -> None:
    card, numbers = Cuda(CARD), torch.zeros(1)

    def work() -> torch.Tensor:
        cuda.append("work")
        return numbers.add_(1)

    again = card.record(work)
    warm = ["stream", "wait", "in stream", *["work"] * WARM_UP, "end of in stream", "wait"]
    assert cuda == [*warm, "capture thread_local", "work", "end of capture"]
    cuda.clear()
    assert again() is numbers
    assert again() is numbers
    assert cuda == ["replay", "replay"], "the work itself is not called any more"


def test_waiting(cuda: Calls) -> None:
    card = Cuda(CARD)
    wait = card.mark()
    assert cuda == ["record"]
    wait()
    assert cuda == ["record", "synchronize event"]
    cuda.clear()
    assert card.seconds(lambda: cuda.append("work")) >= 0
    card.forget()
    assert cuda == ["finish", "work", "finish", "forget"]


def test_windows_are_copied_from_pinned_memory_in_a_stream_of_their_own(cuda: Calls) -> None:
    feed = DeviceFeed(CARD)
    feed._device = HERE  # where copies can go
    ring = mmap.mmap(-1, 1 << 16)
    feed.pin(ring)
    large = np.arange(4096, dtype=np.float32)
    there = feed.upload({"visual": large, "few": np.arange(3)})
    feed.unpin(ring)
    assert cuda == [
        "stream", "register", "in stream", "record", "synchronize event", "end of in stream", "unregister",
    ]  # fmt: skip
    assert isinstance(there["few"], np.ndarray)
    assert torch.equal(there["visual"], torch.from_numpy(large))
    cuda.pinned = 2
    with pytest.raises(AvzslError, match=r"cannot pin 0 MiB of memory \(error 2\); raise `ulimit -l`"):
        feed.pin(ring)


def test_a_card_that_goes_while_windows_are_copied(cuda: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch.cuda, "Event", lost)
    with pytest.raises(LostError, match="lost while copying windows to it"):
        feed = DeviceFeed(CARD)
        feed._device = HERE
        feed.upload({"visual": np.zeros(4096, np.float32)})


def test_the_cards_random_numbers_are_part_of_a_checkpoint(cuda: Calls) -> None:
    saved = random_state(CARD, {})
    assert set(saved) == {"cpu", "cuda"}
    set_random_state(saved, CARD, {})
    assert cuda == ["random 120 on cuda:1"]
    assert set(random_state(HERE, {})) == {"cpu"}


def test_training_refuses_a_card_that_is_not_there(tmp_path: Any) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="torch sees no GPU"):
        choose_device("cuda")
