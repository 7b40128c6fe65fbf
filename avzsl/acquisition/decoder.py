"""The decoding process: probes and cuts files for its parent, and may crash or hang without harm.

`python -m avzsl.acquisition.decoder` speaks frames on its standard streams: four bytes of length, one byte of
kind (J: JSON, B: bytes), the content. The parent (`sandbox.py`) sends one JSON request at a time.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Any

# Address space of one decoding process: a picture of 30,000 x 30,000 is an attack, not a clip.
MEMORY = 6 << 30


class Channel:
    """Frames over a pair of pipes."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader, self._writer = reader, writer

    def send(self, kind: bytes, content: bytes) -> None:
        self._writer.write(struct.pack(">Ic", len(content), kind) + content)
        self._writer.flush()

    def receive(self) -> tuple[bytes, bytes]:
        """Return kind and content of the next frame; raises EOFError when the other side is gone."""
        head = self._reader.read(5)
        if len(head) < 5:
            raise EOFError
        length, kind = struct.unpack(">Ic", head)
        content = self._reader.read(length)
        if len(content) < length:
            raise EOFError
        return kind, content


class Remote:
    """A file that only the parent can read: a seekable object over the channel.

    The decoding process itself never speaks to a network.
    """

    def __init__(self, channel: Channel, index: int, size: int) -> None:
        self._channel, self._index, self._size = channel, index, size
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._position)
        size = left if size < 0 else min(size, left)
        if not size:
            return b""
        self._channel.send(b"R", json.dumps([self._index, self._position, size]).encode())
        kind, content = self._channel.receive()
        if kind == b"E":
            raise OSError("the parent cannot read any more")
        self._position += len(content)
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, self._size)[whence])
        return self._position

    def tell(self) -> int:
        return self._position


def main() -> None:
    """Serve requests until the parent goes away."""
    for name, limit in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        # A stricter limit of the system stays as it is.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, (limit, resource.getrlimit(name)[1]))
    # Libraries may write to descriptor 1: keep the channel apart from it.
    channel = Channel(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()

    import av.logging

    from avzsl.acquisition.cut import cut
    from avzsl.acquisition.probe import probe

    av.logging.set_level(None)
    operations: dict[str, Callable[..., Any]] = {"probe": probe, "cut": cut}
    channel.send(b"J", b'"ready"')
    while True:
        try:
            _, content = channel.receive()
        except EOFError:
            return
        request: dict[str, Any] = json.loads(content)
        if "inputs" in request:
            request["inputs"] = [Remote(channel, *i) if isinstance(i, list) else i for i in request["inputs"]]
        answer = operations[request.pop("operation")](**request)
        channel.send(b"J", json.dumps(answer).encode())


def _end_with_parent(parent: int) -> None:
    """End this process when its parent was killed, also in the middle of a decode."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
