"""Any extractor's networks on a GPU with too little memory, or on one that goes away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.contracts.errors import AvzslError
from avzsl.runtime.accelerator import LostError
from extractors.base import Features, Window
from extractors.guarded import Guarded


class Networks:
    """Hands windows back; memory holds so many at a time."""

    audio_dim = visual_dim = 1
    batch_windows = 16

    def __init__(self, holds: int) -> None:
        self.holds, self.calls = holds, list[int]()
        self.identity: dict[str, Any] = {}
        self.measured: dict[str, Any] = {}

    def embed(self, windows: Sequence[Window]) -> Features:
        if len(windows) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.calls.append(len(windows))
        rows = np.array([[w.start] for w in windows], np.float32)
        return lambda: (rows, -rows)


WINDOWS = [Window(float(k), k + 1.0) for k in range(16)]


def test_a_batch_that_does_not_fit_is_halved_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    networks = Networks(5)
    guarded = Guarded(networks)
    assert guarded.batch_windows == 16
    for _ in range(2):
        audio, visual = guarded.embed(WINDOWS)()
        assert audio[:, 0].tolist() == [w.start for w in WINDOWS]
        assert (visual == -audio).all()
    assert networks.calls == [4] * 8
    assert guarded.batch_windows == 4
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "the GPU's memory does not hold a batch: 8 windows at a time from here on"
    ]
    with pytest.raises(AvzslError, match="does not hold a single window"):
        Guarded(Networks(0)).embed(WINDOWS)


def test_a_lost_gpu_is_a_sentence_wherever_it_shows() -> None:
    class Lost(Networks):
        late = False

        def embed(self, windows: Sequence[Window]) -> Features:
            def gone() -> tuple[np.ndarray, np.ndarray]:
                raise RuntimeError("CUDA error: the launch timed out and was terminated\nmore")

            return gone if self.late else gone()  # type: ignore[return-value]

    networks = Lost(16)
    with pytest.raises(LostError, match="the GPU was lost while computing features"):
        Guarded(networks).embed(WINDOWS)
    networks.late = True
    with pytest.raises(LostError, match="goes on from what was finished"):
        Guarded(networks).embed(WINDOWS)()
