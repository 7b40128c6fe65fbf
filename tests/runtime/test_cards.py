"""One job a card; more where it is said so."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from avzsl.contracts.errors import AvzslError
from avzsl.runtime.cards import claim
from avzsl.runtime.devices import cores_for_a_gpu


def test_jobs_take_different_cards_and_then_none(tmp_path: Path) -> None:
    cards = ["GPU-a", "GPU-b"]
    with claim("extract", cards, folder=tmp_path) as first:
        with claim("extract", cards, folder=tmp_path) as second:
            assert {first, second} == {0, 1}
            with (
                pytest.raises(AvzslError, match="has another job of extract already"),
                claim("extract", cards, folder=tmp_path),
            ):
                pass
            # The same card under another number is the same card.
            with pytest.raises(AvzslError), claim("extract", ["GPU-b"], folder=tmp_path):
                pass
            with claim("run", cards, folder=tmp_path) as other:
                assert other == 0, "another kind of job does not count"
        with claim("extract", cards, folder=tmp_path) as again:
            assert again == second, "what is free again is taken again"


def test_a_shared_card(tmp_path: Path) -> None:
    with contextlib.ExitStack() as held:
        taken = [held.enter_context(claim("run", ["a", "b"], share=2, folder=tmp_path)) for _ in range(4)]
        assert taken == [0, 1, 0, 1]
        with pytest.raises(AvzslError, match="has 2 jobs of run"):
            held.enter_context(claim("run", ["a", "b"], share=2, folder=tmp_path))


def test_cores_for_a_gpu() -> None:
    assert [cores_for_a_gpu(*given) for given in ((16, 1), (16, 2), (16, 3), (1, 4), (None, None), (64, 0))] == [
        16, 8, 5, 1, 16, 64,
    ]  # fmt: skip
