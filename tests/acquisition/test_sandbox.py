"""A decoder that hangs or crashes costs one file, not the run."""

from __future__ import annotations

import os
import signal
import threading
import time

from avzsl.acquisition.sandbox import Sandbox


def test_a_hanging_decoder_is_ended(tmp_path, good_clip):
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)  # opening it for reading blocks for ever
    with Sandbox(time_limit_s=1.0) as sandbox:
        assert sandbox.probe(str(good_clip))["status"] == "ok"
        started = time.monotonic()
        answer = sandbox.probe(str(pipe))
        assert time.monotonic() - started < 10
        assert answer["status"] == "corrupt" and "did not finish within 1 s" in answer["error"]
        assert sandbox.probe(str(good_clip))["status"] == "ok"


def test_a_crashing_decoder_is_replaced(tmp_path, good_clip):
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with Sandbox(time_limit_s=30.0) as sandbox:
        assert sandbox.probe(str(good_clip))["status"] == "ok"
        process = sandbox._process
        threading.Timer(0.5, lambda: os.kill(process.pid, signal.SIGSEGV)).start()
        answer = sandbox.probe(str(pipe))
        assert answer["status"] == "corrupt" and "SIGSEGV" in answer["error"]
        assert sandbox.probe(str(good_clip))["status"] == "ok"
