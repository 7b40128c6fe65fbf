"""A process that is about to compute keeps the memory that it frees."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from avzsl.runtime.devices import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        np.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = faults()
keep_freed_memory()
faults()  # what is kept from now on
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told so")
@pytest.mark.parametrize(("asked", "kept"), [({}, True), ({"MALLOC_ARENA_MAX": "2"}, False)])
def test_blocks_are_not_fetched_from_the_system_again(asked: dict[str, str], kept: bool) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    run = subprocess.run(
        [sys.executable, "-c", FAULTS], env={**clean, **asked}, capture_output=True, text=True, check=True
    )
    before, after = map(int, run.stdout.split())
    assert before > 1000, "a block of 64 MB is fetched page by page"
    assert (after < before / 20) == kept, "what the user's environment says stands"
