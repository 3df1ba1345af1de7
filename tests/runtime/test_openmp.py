"""What OpenMP is told before torch loads it, as OpenMP itself shows it."""

import os
import subprocess
import sys

import pytest

TOLD = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP, which torch brings along on Linux only")


def show_openmp(*command, **environment):
    given = {name: value for name, value in os.environ.items() if name not in TOLD}
    given |= {"OMP_DISPLAY_ENV": "VERBOSE"} | environment
    return subprocess.run([sys.executable, *command], env=given, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("command", [("-c", "import mea, torch"), ("-m", "stages.train", "--help")])
def test_threads_spin_a_thousand_times_and_then_sleep(command):
    shown = show_openmp(*command)
    assert "GOMP_SPINCOUNT = '1000'" in shown and "OMP_WAIT_POLICY = 'PASSIVE'" in shown


def test_what_the_user_says_stands():
    command = ("-c", "import mea, torch")
    assert "GOMP_SPINCOUNT = '1000'" not in show_openmp(*command, OMP_WAIT_POLICY="ACTIVE")
    assert "GOMP_SPINCOUNT = '77'" in show_openmp(*command, GOMP_SPINCOUNT="77")
