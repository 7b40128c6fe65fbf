"""The decoding process: reads clips one after the other and sends their windows to its parent.

Started as `python -m extractors.worker`. A process of its own, because FFmpeg may crash or hang on a broken file, and only
this process then has to go. It never imports torch.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import BinaryIO

from avzsl.config.features import FeaturesConfig
from avzsl.media.child import confine
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
    send(answers, {"kind": "ready"})
    while True:
        request, _ = receive_from(requests)
        if outbox.returned(request):
            continue
        info = ClipInfo()
        try:
            for window in read(Path(request["path"]), options, info):
                send_window(answers, outbox, window)
            if info.lost_share > features.max_lost_share:
                raise ClipError("corrupt", f"{info.damage}; max_lost_share allows {features.max_lost_share:g}")
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


def send_window(stream: BinaryIO, outbox: Outbox, window: Window) -> None:
    """Send one window: its arrays through the ring, or through the pipe where they are too large for it."""
    header = {"kind": "window", "start": window.start, "end": window.end}
    arrays = window.arrays()
    places = outbox.put(arrays)
    send(stream, header | (places or {}), None if places else arrays)


def main() -> None:
    """Serve the parent."""
    try:
        serve(*confine())
    except (BrokenPipeError, EOFError, KeyboardInterrupt):
        os._exit(0)  # the parent is gone; there is nobody to tell


if __name__ == "__main__":
    main()
