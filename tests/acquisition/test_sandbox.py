"""A decoder that hangs or crashes costs one file, not the run."""

from __future__ import annotations

import os
import signal
import threading
import time

from avzsl.acquisition.sandbox import Sandbox


def test_a_hanging_decoder_is_ended(good_clip):
    with Sandbox(time_limit_s=30.0) as sandbox:
        assert sandbox.probe(str(good_clip))["status"] == "ok"
        sandbox.time_limit_s = 1.0
        os.kill(sandbox._process.pid, signal.SIGSTOP)
        started = time.monotonic()
        answer = sandbox.probe(str(good_clip))
        assert time.monotonic() - started < 25
        sandbox.time_limit_s = 30.0
        assert answer["status"] == "corrupt" and "did not finish within 1 s" in answer["error"]
        assert sandbox.probe(str(good_clip))["status"] == "ok"


def test_a_crashing_decoder_is_replaced(good_clip):
    with Sandbox(time_limit_s=30.0) as sandbox:
        assert sandbox.probe(str(good_clip))["status"] == "ok"
        process = sandbox._process.pid
        os.kill(process, signal.SIGSTOP)
        crash = [threading.Timer(0.5, os.kill, (process, sign)) for sign in (signal.SIGSEGV, signal.SIGCONT)]
        for timer in crash:
            timer.start()
        answer = sandbox.probe(str(good_clip))
        assert answer["status"] == "corrupt" and "SIGSEGV" in answer["error"]
        assert sandbox.probe(str(good_clip))["status"] == "ok"


def test_a_pipe_is_no_clip(tmp_path):
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)  # opening it for reading would block for ever
    with Sandbox(time_limit_s=30.0) as sandbox:
        assert "not a regular file" in sandbox.probe(str(pipe))["error"]
