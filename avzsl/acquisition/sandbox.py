"""Decode in another process with a time limit: a hostile file costs its own row and nothing else."""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from avzsl.acquisition.decoder import Channel
from avzsl.acquisition.errors import ClipError

logger = logging.getLogger(__name__)


class Sandbox:
    """One decoding process; started on first use and again after a crash. For one thread at a time."""

    def __init__(self, time_limit_s: float) -> None:
        self.time_limit_s = time_limit_s
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def probe(self, path: str) -> dict[str, Any]:
        """Probe a file as `probe.probe` does; a crash or a time-out of the decoder makes it corrupt."""
        try:
            answer: dict[str, Any] = self._call("probe", path=path)
        except ClipError as failure:
            return {"status": failure.status, "error": failure.error}
        return answer

    def close(self) -> None:
        """End the process."""
        process, self._process, self._channel = self._process, None, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    logger.debug("the decoding process was already gone")
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _call(self, operation: str, **arguments: Any) -> Any:
        channel = self._start()
        deadline = time.monotonic() + self.time_limit_s
        try:
            channel.send(b"J", json.dumps({"operation": operation, **arguments}).encode())
            if not self._readable(deadline):
                self._kill()
                raise ClipError("corrupt", f"the decoder did not finish within {self.time_limit_s:.0f} s")
            _, content = channel.receive()
        except (EOFError, BrokenPipeError) as error:
            raise self._died() from error
        return json.loads(content)

    def _start(self) -> Channel:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._process is None or self._channel is None:
            environment = dict(os.environ, OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
            # The child finds the package where this process found it, installed or not.
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "avzsl.acquisition.decoder"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
            assert self._process.stdin is not None and self._process.stdout is not None
            self._channel = Channel(self._process.stdout, self._process.stdin)
            try:
                if not self._readable(time.monotonic() + 120):
                    raise EOFError
                self._channel.receive()
            except EOFError as error:
                self._kill()
                raise RuntimeError(
                    "the decoding process `python -m avzsl.acquisition.decoder` does not start"
                ) from error
        return self._channel

    def _readable(self, deadline: float) -> bool:
        assert self._process is not None and self._process.stdout is not None
        # Frames are written whole and read whole, so nothing waits in the buffer between two calls.
        readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        return bool(readable)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self.close()

    def _died(self) -> ClipError:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return ClipError("corrupt", f"the decoder crashed on this file ({name})")


class SandboxPool:
    """A sandbox for each thread that asks."""

    def __init__(self, time_limit_s: float) -> None:
        self._time_limit_s = time_limit_s
        self._local = threading.local()
        self._all: list[Sandbox] = []
        self._lock = threading.Lock()

    def get(self) -> Sandbox:
        """Return this thread's sandbox."""
        sandbox: Sandbox | None = getattr(self._local, "sandbox", None)
        if sandbox is None:
            sandbox = self._local.sandbox = Sandbox(self._time_limit_s)
            with self._lock:
                self._all.append(sandbox)
        return sandbox

    def close(self) -> None:
        """End all of them."""
        for sandbox in self._all:
            sandbox.close()
