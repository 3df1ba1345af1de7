"""What worker processes say."""

import os
import subprocess
import sys

from builders.lab import ROOT

PROGRAM = """
import warnings
from mea.runtime.parallel import run_parallel

def double(number):
    warnings.warn(f"fold {number} is not calibrated", stacklevel=1)
    return 2 * number

print(run_parallel(double, [1, 2, 3], "numbers", workers=2))
"""


def test_a_warning_of_a_worker_is_one_plain_line():
    """As one of the stage itself; the order is the workers'."""
    given = {"cwd": ROOT, "env": os.environ | {"MEA_QUIET": "1"}, "capture_output": True}
    done = subprocess.run([sys.executable, "-c", PROGRAM], **given, text=True, check=True)
    assert done.stdout == "[2, 4, 6]\n"
    assert sorted(done.stderr.splitlines()) == [f"warning: fold {number} is not calibrated" for number in (1, 2, 3)]
