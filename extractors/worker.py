"""The decoding process: reads clips one after the other and sends their windows to its parent.

Started as `python -m extractors.worker`. A process of its own, because FFmpeg may crash or hang on a broken file, and only
this process then has to go. It never imports torch.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.streams import MODALITIES
from extractors.base import ClipError, ClipInfo, Window, find_extractor, options_of
from extractors.messages import send

# Address space of a decoding process: an 8K stream needs about two of these eight GiB.
MEMORY_BYTES = 8 << 30


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Read the extractor and its configuration from the first line, then answer a path a line until the end."""
    setup = json.loads(requests.readline())
    features = FeaturesConfig.model_validate(setup["features"])
    extractor, options = find_extractor(features.extractor), options_of(features)
    send(answers, {"kind": "ready"})
    for line in requests:
        info = ClipInfo()
        try:
            for window in extractor.read(Path(json.loads(line)), options, info):
                send_window(answers, window)
            send(answers, {"kind": "done", "info": vars(info)})
        except ClipError as failure:
            send(answers, {"kind": "failed", "status": failure.status, "reason": failure.reason, "info": vars(info)})
        except BrokenPipeError:
            raise
        except MemoryError:
            reason = "decoding it needs more memory than a clip may have"
            send(answers, {"kind": "failed", "status": "too_large", "reason": reason, "info": vars(info)})
        except Exception as error:  # a mistake in the extractor must not hide, and must not take other clips with it
            traceback.print_exc()
            reason = f"the extractor failed on it: {type(error).__name__}: {error}"
            send(answers, {"kind": "failed", "status": "decoder_crash", "reason": reason, "info": vars(info)})


def send_window(stream: BinaryIO, window: Window) -> None:
    """Write one window: the arrays of the modalities that it has."""
    arrays = {name: value for name in MODALITIES if (value := getattr(window, name)) is not None}
    send(stream, {"kind": "window", "start": window.start, "end": window.end}, arrays)


def main() -> None:
    """Serve the parent; what libraries print goes to the error stream, away from the messages."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        serve(sys.stdin.buffer, answers)
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(0)  # the parent is gone; there is nobody to tell


if __name__ == "__main__":
    main()
