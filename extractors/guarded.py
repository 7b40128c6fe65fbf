"""Networks whose GPU may run out of memory, or be lost: any extractor's, so that none has to think of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from avzsl.contracts.errors import AvzslError
from avzsl.runtime.accelerator import losses
from extractors.base import Features, Networks, Window

logger = logging.getLogger(__name__)


class Guarded:
    """Embeds as its `networks` do. A batch that memory does not hold is halved for the rest of the job, said once.

    A lost GPU raises LostError, a sentence.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks, self._most = networks, networks.batch_windows
        self._said = False

    @property
    def batch_windows(self) -> int:
        """Windows that one call should hold."""
        return min(self._most, self._networks.batch_windows)

    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed a batch, as `Networks.embed`; raises AvzslError where not even one window fits."""
        parts: list[Features] = []
        at = 0
        while at < len(windows):
            part = windows[at : at + self.batch_windows]
            try:
                with losses("computing features"):
                    parts.append(self._networks.embed(part))
            except torch.OutOfMemoryError as error:
                self._halve(len(part), error)
                continue
            at += len(part)

        def wait() -> tuple[np.ndarray, np.ndarray]:
            with losses("computing features"):
                found = [part() for part in parts]
            audio, visual = (np.concatenate(rows) for rows in zip(*found, strict=True))
            return audio, visual

        return wait

    def _halve(self, count: int, error: torch.OutOfMemoryError) -> None:
        if count == 1:
            raise AvzslError(
                "the GPU's memory does not hold a single window; free it of other processes, or use device: cpu"
            ) from error
        self._most = count // 2
        (logger.info if self._said else logger.warning)(
            "the GPU's memory does not hold a batch: %d windows at a time from here on", self._most
        )
        self._said = True
        torch.cuda.empty_cache()
