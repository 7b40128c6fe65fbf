"""What is asked of torch.cuda, on a make-believe one: every line of the GPU's path runs but the kernels."""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.runtime import accelerator
from avzsl.runtime.accelerator import WARM_UP, Cuda, LostError, choose_device, current_card, held_card, kind_of
from avzsl.runtime.checkpoint import random_state, set_random_state
from extractors.feed import DeviceFeed
from tests.runtime.make_believe import CARD, Calls, OnTheCpu, make_believe

HERE = torch.device("cpu")


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return make_believe(monkeypatch)


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
    ring = mmap.mmap(-1, 1 << 16)
    feed.pin(ring)
    large = np.arange(4096, dtype=np.float32)
    with OnTheCpu():
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
    with OnTheCpu(), pytest.raises(LostError, match="lost while copying windows to it"):
        DeviceFeed(CARD).upload({"visual": np.zeros(4096, np.float32)})


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
