"""What jobs set and say of the machine: idle threads sleep, slow rates are seconds each."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from avzsl.runtime.progress import pace

JOB = """
import os, sys
from avzsl.runtime.jobs import job
assert "torch" not in sys.modules
with job(None):
    print(os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"], flush=True)
    os.system("echo $OMP_WAIT_POLICY")
"""


@pytest.mark.parametrize(
    ("given", "said"), [({}, "PASSIVE 0 PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE 0 ACTIVE")]
)
def test_idle_threads_of_a_job_and_its_processes_sleep_unless_the_user_says_otherwise(
    given: dict[str, str], said: str
) -> None:
    clean = {key: value for key, value in os.environ.items() if key not in {"OMP_WAIT_POLICY", "KMP_BLOCKTIME"}}
    made = subprocess.run(
        [sys.executable, "-c", JOB], env={**clean, **given}, capture_output=True, text=True, check=True
    )
    assert made.stdout.split() == said.split()


@pytest.mark.parametrize(
    ("rate", "said"),
    [(12.34, "12.3/s"), (0.1, "0.1/s"), (0.0625, "16.0 s each"), (0.004, "250.0 s each"), (0, "none yet")],
)
def test_a_slow_rate_is_told_as_seconds_each(rate: float, said: str) -> None:
    assert pace(rate) == said
