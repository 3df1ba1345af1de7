"""Freed memory is kept: what a training step frees, the next one has without asking the system."""

import subprocess
import sys

import pytest

PROBE = """
import resource, sys
import numpy as np
from mea.runtime.memory import keep_freed_memory

def fill():
    np.ones(2_300_000_000, np.uint8)  # glibc's own limits end at 2 GiB

def count_new_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    fill()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    keep_freed_memory()
fill()
print(count_new_pages())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc is asked, which other systems do not have")
def test_large_freed_blocks_are_used_again():
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", PROBE, how], capture_output=True, text=True, check=True).stdout)
        for how in ("kept", "given back")
    )
    assert kept < 1000 < given_back
