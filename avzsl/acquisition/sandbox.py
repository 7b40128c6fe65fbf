"""Probe and cut in another process with a time limit (`avzsl.media.process`)."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from avzsl.acquisition.errors import ClipError
from avzsl.media.process import Clock, DecodingProcess, DiedError, LateError


class Reader(Protocol):
    """Something that the decoding process may read through its parent."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`; raises ClipError."""


class Sandbox:
    """One decoding process; started on first use and again after a crash. For one thread at a time."""

    def __init__(self, time_limit_s: float) -> None:
        self.time_limit_s = time_limit_s
        self._process: DecodingProcess | None = None

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
        max_lost_share: float = 1.0,
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
            max_lost_share=max_lost_share,
        )
        status, error = answer.pop("status"), answer.pop("error", None)
        if status == "disk":
            raise OSError(answer["errno"], os.strerror(answer["errno"]), str(out))
        if status != "ok":
            raise ClipError(status, str(error))
        return answer

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _call(
        self, operation: str, readers: Sequence[Reader] = (), limit_s: float | None = None, **arguments: Any
    ) -> Any:
        limit_s = limit_s or self.time_limit_s
        process = self._start()
        # What the network takes is not the decoder's time; readers have limits of their own.
        clock = Clock(limit_s)
        failure: ClipError | None = None
        try:
            process.send({"operation": operation, **arguments})
            while True:
                header, _ = process.receive(clock)
                if header["kind"] == "answer":
                    break
                index, offset, size = header["range"]
                try:
                    if failure is not None:
                        raise failure
                    content = readers[index].read_at(offset, size)
                except ClipError as error:
                    failure = error
                    process.send({})
                else:
                    process.send({}, {"bytes": np.frombuffer(content, np.uint8)})
        except LateError as error:
            self.close()
            raise failure or ClipError("corrupt", f"the decoder did not finish within {limit_s:.0f} s") from error
        except (DiedError, BrokenPipeError) as error:
            died = ClipError("corrupt", f"the decoder crashed on this file ({process.death()})")
            self.close()
            raise failure or died from error
        except BaseException:
            # The child waits for an answer that will not come.
            self.close()
            raise
        if failure is not None:
            raise failure
        return header["answer"]

    def _start(self) -> DecodingProcess:
        if self._process is not None and not self._process.alive:
            self.close()
        if self._process is None:
            self._process = DecodingProcess("avzsl.acquisition.decoder", {})
        return self._process


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
