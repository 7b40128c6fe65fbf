"""Which GPU a job takes, where a machine has several: one that no other job holds."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from avzsl.contracts.errors import AvzslError
from avzsl.runtime.locks import exclusive


class _BusyError(AvzslError):
    pass


@contextlib.contextmanager
def claim(kind: str, cards: Sequence[str], share: int = 1, folder: Path | None = None) -> Iterator[int]:
    """Hold one of this machine's cards and give its number; the least taken first.

    `cards` name them for good (their UUIDs): numbers differ from process to process under CUDA_VISIBLE_DEVICES. `share`: jobs
    of one `kind` that may hold a card at a time. Raises AvzslError where every card has so many. Jobs of other users are not
    seen.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"avzsl-cards-{os.getuid()}"
    for place in range(share):
        for number, name in enumerate(cards):
            with contextlib.ExitStack() as held:
                try:
                    held.enter_context(exclusive(folder / f"{kind}-{name}-{place}", _BusyError()))
                except _BusyError:
                    continue
                yield number
                return
    jobs = "another job" if share == 1 else f"{share} jobs"
    raise AvzslError(
        f"every GPU of this machine ({len(cards)}) has {jobs} of {kind} already: let `gpu` in the profile's resources be the "
        "number of GPUs, or raise `gpu_jobs` in config.yaml to share them (docs/gpu.md)"
    )
