"""A decoding process as its parent sees it: a hostile file costs its own row and nothing else.

`acquisition.sandbox` asks one for facts and cuts and reads the network for it; `extractors.pool` lets several stream windows
side by side. They share everything here, and differ in what is said.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.contracts.errors import AvzslError
from avzsl.media.messages import Message, receive, send

_START_S = 120.0


@dataclass
class Clock:
    """Seconds that a file may still take; it runs only while the parent waits for the process."""

    left: float


class DiedError(Exception):
    """The process closed its pipe."""


class LateError(Exception):
    """The process did not answer in time."""


class DecodingProcess:
    """`python -m module`, confined by `child.confine`, and the pipes to it. For one thread at a time, but for `kill`."""

    def __init__(self, module: str, setup: dict[str, Any], files: Sequence[int] = ()) -> None:
        """Start the process, send it `setup` and wait until it is ready; raises AvzslError if it does not start.

        `files` are open files that it has under the same numbers.
        """
        # The child finds the packages where this process found them, and decodes on one core.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}
        for library in ("OMP", "OPENBLAS", "MKL"):
            environment[f"{library}_NUM_THREADS"] = "1"
        self._popen = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            pass_fds=files,
        )
        try:
            self.send(setup)
            header, _ = self.receive(Clock(_START_S))
        except (DiedError, LateError, BrokenPipeError) as error:
            self.kill()
            raise AvzslError(
                f"the decoding process `python -m {module}` does not start; its message is in the log above"
            ) from error
        if header["kind"] != "ready":
            self.kill()
            raise AvzslError(f"the decoding process `python -m {module}` answered {header!r}; install avzsl again")

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    def send(self, header: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
        """Send one message; raises BrokenPipeError if the process is gone."""
        assert self._popen.stdin is not None
        send(self._popen.stdin, header, arrays)  # type: ignore[arg-type]

    def receive(self, clock: Clock) -> Message:
        """Return the next message; raises LateError when the clock has run out, DiedError when the process is gone."""
        return receive(lambda count: self._bytes(count, clock))

    def _bytes(self, count: int, clock: Clock) -> bytearray:
        assert self._popen.stdout is not None
        data = bytearray(count)
        view = memoryview(data)
        handle = self._popen.stdout.fileno()
        done = 0
        while done < count:
            started = time.monotonic()
            ready, _, _ = select.select([handle], [], [], max(clock.left, 0.0))
            clock.left -= time.monotonic() - started
            if not ready:
                raise LateError
            got = os.readv(handle, [view[done:]])
            if got == 0:
                raise DiedError
            done += got
        return data

    def death(self) -> str:
        """Wait for the end of a process that has died and say how it ended."""
        code = self._popen.wait()
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None and not pipe.closed:
                with contextlib.suppress(BrokenPipeError, ValueError):  # unsent bytes, or another thread is reading
                    pipe.close()
