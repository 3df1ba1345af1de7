"""What worker processes say, and which process works."""

import os
import subprocess
import sys
import time

import pytest
from builders.lab import ROOT

from mea.runtime import parallel

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


def tell(number):
    """A result, and which process made it."""
    return 2 * number, os.getpid()


@pytest.mark.parametrize(
    ("start_s", "here"),
    [(0.0, 2), (1e9, 9)],  # starting workers costs nothing: all but the first two; or ages: none
    ids=["what is left takes longer", "what is left is over sooner"],
)
def test_worker_processes_start_where_they_save_time(monkeypatch, start_s, here):
    monkeypatch.setattr(parallel, "MOST_START_S", start_s)
    monkeypatch.setenv("MEA_QUIET", "1")
    results = parallel.run_parallel(tell, range(9), "numbers", workers=2, begin_here=True)
    assert [result for result, _ in results] == [2 * number for number in range(9)]
    assert [process == os.getpid() for _, process in results] == [True] * here + [False] * (9 - here)
    assert parallel.run_parallel(tell, [], "nothing", workers=2, begin_here=True) == []


def pay_once(number):
    """Nothing to do for the first, imports for the second, little for the others."""
    time.sleep({0: 0.0, 1: 0.6}.get(number, 0.01))
    return os.getpid()


def test_what_the_second_item_pays_for_imports_starts_no_workers(monkeypatch):
    """The first file may be one that cannot be read, so that the second is the first to import anything."""
    monkeypatch.setattr(parallel, "MOST_START_S", 0.5)
    assert set(parallel.run_parallel(pay_once, range(9), "files", workers=2, begin_here=True)) == {os.getpid()}
