"""The peak of memory is a process's own."""

import subprocess
import sys

import pytest

from avzsl.runtime import peak

ASK = "from avzsl.runtime.peak import peak_mb; print(peak_mb())"


@pytest.mark.skipif(not peak.STATUS.is_file(), reason="this system does not tell a process's own peak")
def test_a_process_that_is_started_does_not_begin_with_the_peak_of_its_parent():
    held = bytearray(400 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    assert peak.peak_mb() > 400
    done = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200


def test_without_the_kernels_figure_that_of_getrusage_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(peak, "STATUS", tmp_path / "absent")
    assert peak.peak_mb() > 10
