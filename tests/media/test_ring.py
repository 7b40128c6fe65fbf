"""Windows through shared memory: whole, in turn, and without a trace whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from avzsl.media.ring import Outbox, Ring


def test_arrays_arrive_whole() -> None:
    ring = Ring.make(slots=2, slot_bytes=4096)
    child = Ring(os.dup(ring.file), slots=2, slot_bytes=4096)
    arrays = {
        "a": np.arange(7, dtype=np.int16),
        "b": np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::-1],
        "none": np.zeros((0, 3), np.uint8),
    }
    for slot in (1, 0):
        views = ring.views(child.write(slot, arrays))
        for name, array in arrays.items():
            assert views[name].dtype == array.dtype
            np.testing.assert_array_equal(views[name], array)
    assert not ring.fits({"large": np.zeros(4097, np.uint8)})
    assert ring.fits({"large": np.zeros(4096, np.uint8)})


def test_a_full_ring_waits_for_a_slot() -> None:
    ring = Ring.make(slots=2, slot_bytes=64)
    given = threading.Event()

    def receive() -> dict[str, int]:
        given.wait()
        return {"slot": 1}

    outbox = Outbox(ring, receive)
    assert [(outbox.put({"a": np.ones(3)}) or {})["slot"] for _ in range(2)] == [0, 1]
    threading.Timer(0.2, given.set).start()
    assert (outbox.put({"a": np.ones(3)}) or {})["slot"] == 1
    assert given.is_set(), "not before it was given"
    assert outbox.put({"a": np.ones(9)}) is None, "what is too large goes another way"


PARENT = """
import os, subprocess, sys, time
from avzsl.media.ring import Ring
ring = Ring.make()
child = subprocess.Popen([sys.executable, "-c",
    "import sys, time; from avzsl.media.ring import Ring; import numpy as np;"
    f"r = Ring({ring.file}); r.write(0, {{'a': np.ones(1000)}}); print('ready', flush=True); time.sleep(60)"],
    pass_fds=[ring.file], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, ring.views([("a", "<f8", [1000], 0)])["a"].sum(), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm")
@pytest.mark.parametrize("victim", ["parent", "child"])
def test_nothing_is_left_of_a_killed_process(victim: str) -> None:
    before = set(Path("/dev/shm").iterdir())
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment)
    assert parent.stdout is not None
    child, total = parent.stdout.readline().split()
    try:
        assert float(total) == 1000
        os.kill(parent.pid if victim == "parent" else int(child), signal.SIGKILL)
        assert set(Path("/dev/shm").iterdir()) <= before
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        if victim == "parent":
            os.kill(int(child), signal.SIGKILL)
    assert set(Path("/dev/shm").iterdir()) <= before
