"""The decoding process of acquisition: probes and cuts files for its parent (`sandbox.py`), one request at a time.

Started as `python -m avzsl.acquisition.decoder`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from avzsl.media.child import run
from avzsl.media.messages import receive_from, send


class Remote:
    """A file that only the parent can read: a seekable object over the pipes.

    The decoding process itself never speaks to a network.
    """

    def __init__(self, requests: BinaryIO, answers: BinaryIO, index: int, size: int) -> None:
        self._requests, self._answers, self._index, self._size = requests, answers, index, size
        self._position = 0

    def again(self) -> Remote:
        """Return another reader of the same file, at its beginning."""
        return Remote(self._requests, self._answers, self._index, self._size)

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        size = left if size < 0 else min(size, left)
        if not size:
            return b""
        send(self._answers, {"kind": "read", "range": [self._index, self._position, size]})
        _, arrays = receive_from(self._requests)
        if "bytes" not in arrays:
            raise OSError("the parent cannot read any more")
        content = arrays["bytes"].tobytes()
        self._position += len(content)
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def tell(self) -> int:
        return self._position


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until the parent goes away."""
    from avzsl.acquisition.cut import cut
    from avzsl.acquisition.probe import probe

    operations: dict[str, Callable[..., Any]] = {"probe": probe, "cut": cut}
    receive_from(requests)
    send(answers, {"kind": "ready"})
    while True:
        request, _ = receive_from(requests)
        if "inputs" in request:
            request["inputs"] = [
                Remote(requests, answers, *item) if isinstance(item, list) else Path(item) for item in request["inputs"]
            ]
        answer = operations[request.pop("operation")](**request)
        send(answers, {"kind": "answer", "answer": answer})


if __name__ == "__main__":
    run(serve)
