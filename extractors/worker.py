"""The decoding process: reads clips one after the other and sends their windows to its parent.

Started as `python -m extractors.worker`. A process of its own, because FFmpeg may crash or hang on a broken file, and only
this process then has to go. It never imports torch.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from avzsl.config.features import FeaturesConfig
from avzsl.media import hardware
from avzsl.media.child import admit_gpu, run
from avzsl.media.findings import joined
from avzsl.media.messages import receive_from, send
from avzsl.media.ring import Outbox, Ring
from extractors.base import ClipError, ClipInfo, Window, find_extractor, options_of


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Take the extractor and its configuration from the first message, then answer paths until the parent goes away."""
    setup, _ = receive_from(requests)
    features = FeaturesConfig.model_validate(setup["features"])
    extractor, options = find_extractor(features.extractor), options_of(features)
    read = getattr(extractor, "read_raw" if setup["raw"] else "read")
    outbox = Outbox(Ring(**setup["ring"]), lambda: receive_from(requests)[0])
    card = Card(setup.get("card"))
    send(answers, {"kind": "ready"})
    while True:
        request, _ = receive_from(requests)
        if outbox.returned(request):
            continue
        info = ClipInfo()
        try:
            for window in card.windows(read, Path(request["path"]), options, info, request["skip"], request["refused"]):
                send_window(answers, outbox, window)
            if info.lost_share > features.max_lost_share:
                raise ClipError("corrupt", f"{info.damage}; max_lost_share allows {features.max_lost_share:g}")
            info.note = joined([*filter(None, [info.note]), *refusal(info.refused)])
            send(answers, {"kind": "done", "info": vars(info)})
        except ClipError as failure:
            send(answers, {"kind": "failed", "status": failure.status, "reason": failure.reason, "info": vars(info)})
        except (BrokenPipeError, EOFError):
            raise
        except MemoryError:
            reason = "decoding it needs more memory than a clip may have"
            send(answers, {"kind": "failed", "status": "too_large", "reason": reason, "info": vars(info)})
        except Exception as error:  # a mistake in the extractor must not hide, and must not take other clips with it
            traceback.print_exc()
            reason = f"the extractor failed on it: {type(error).__name__}: {error}"
            send(answers, {"kind": "failed", "status": "decoder_crash", "reason": reason, "info": vars(info)})


class Card:
    """The GPU whose decoder this process uses, if any: where it does not take a file, the CPU does."""

    def __init__(self, number: int | None) -> None:
        self._refused: str | None = None
        self._there = number is not None
        if number is not None:
            admit_gpu()
            try:
                hardware.start(number)
            except hardware.HardwareError as error:
                self._there, self._refused = False, error.reason

    def windows(
        self, read: Any, path: Path, options: Any, info: ClipInfo, skip: int, refused: str | None
    ) -> Iterator[Window]:
        """Yield the windows of a file but the first `skip`, and fill `info`; `refused`: why no GPU was asked.

        Where the GPU's decoder fails in the middle, the CPU's goes on from there: the windows before are the same.
        """
        info.refused = refused or self._refused
        if self._there:
            try:
                with hardware.reading():
                    for number, window in enumerate(read(path, options, info)):
                        if number >= skip:
                            yield window
                            skip = number + 1
                info.decoder = "cuda"
                return
            except hardware.HardwareError as error:
                vars(info).update(vars(ClipInfo(refused=error.reason)))
        for number, window in enumerate(read(path, options, info)):
            if number >= skip:
                yield window


def refusal(reason: str | None) -> list[str]:
    """Return the note on a clip that the GPU's decoder was asked for and did not decode."""
    return [f"decoded by the CPU: {reason}"] if reason else []


def send_window(stream: BinaryIO, outbox: Outbox, window: Window) -> None:
    """Send one window: its arrays through the ring, or through the pipe where they are too large for it."""
    header = {"kind": "window", "start": window.start, "end": window.end}
    arrays = window.arrays()
    places = outbox.put(arrays)
    send(stream, header | (places or {}), None if places else arrays)


if __name__ == "__main__":
    run(serve)
