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
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from avzsl.acquisition.decoder import Channel
from avzsl.acquisition.errors import ClipError

logger = logging.getLogger(__name__)


class Reader(Protocol):
    """Something that the decoding process may read through its parent."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises ClipError."""


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

    def cut(
        self,
        inputs: Sequence[Path | Reader],
        out: Path,
        start_s: float | None,
        end_s: float | None,
        *,
        crf: int,
        tolerance_s: float,
    ) -> dict[str, Any]:
        """Cut a segment as `cut.cut` does; `inputs` are files, or readers that stay in this process.

        Raises OSError if the disk is full, ClipError if the segment cannot be had: what the reader raised, corrupt for a crash or time-out,
        or the status that `cut` found.
        """
        readers = [i for i in inputs if not isinstance(i, Path)]
        # The time limit is meant for a short file; re-encoding takes its time for every second.
        extra = 3.0 * ((end_s - (start_s or 0.0)) if end_s is not None else 600.0)
        answer: dict[str, Any] = self._call(
            "cut",
            readers,
            self.time_limit_s + extra,
            inputs=[str(i.absolute()) if isinstance(i, Path) else [readers.index(i), i.size] for i in inputs],
            out=str(out.absolute()),
            start_s=start_s,
            end_s=end_s,
            crf=crf,
            tolerance_s=tolerance_s,
        )
        status, error = answer.pop("status"), answer.pop("error", None)
        if status == "disk":
            raise OSError(answer["errno"], os.strerror(answer["errno"]), str(out))
        if status != "ok":
            raise ClipError(status, str(error))
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

    def _call(
        self, operation: str, readers: Sequence[Reader] = (), limit_s: float | None = None, **arguments: Any
    ) -> Any:
        limit_s = limit_s or self.time_limit_s
        channel = self._start()
        deadline = time.monotonic() + limit_s
        failure: ClipError | None = None
        try:
            channel.send(b"J", json.dumps({"operation": operation, **arguments}).encode())
            while True:
                if not self._readable(deadline):
                    self._kill()
                    raise failure or ClipError("corrupt", f"the decoder did not finish within {limit_s:.0f} s")
                kind, content = channel.receive()
                if kind == b"J":
                    break
                # What the network takes is not the decoder's time; readers have limits of their own.
                asked = time.monotonic()
                index, offset, size = json.loads(content)
                try:
                    if failure is not None:
                        raise failure
                    channel.send(b"B", readers[index].read_at(offset, size))
                except ClipError as error:
                    failure = error
                    channel.send(b"E", b"")
                except BaseException:
                    # The child waits for an answer that will not come.
                    self._kill()
                    raise
                deadline += time.monotonic() - asked
        except (EOFError, BrokenPipeError) as error:
            raise failure or self._died() from error
        if failure is not None:
            raise failure
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
