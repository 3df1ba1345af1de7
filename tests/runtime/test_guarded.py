"""Work in a process of its own: its results and errors come back, its crashes and hangs become a sentence."""

import os
import signal
import sys
import time

import h5py
import numpy as np
import psutil
import pytest
from builders.mcs_files import STREAM
from builders.recordings import write_small_mcs

from mea.recordings import formats
from mea.runtime.errors import BadRecording
from mea.runtime.guarded import Failure, call_guarded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the work is done in place")
ROOM = 1 << 30


def call(work, limit_s=20.0, most_bytes=ROOM):
    return call_guarded(work, limit_s, most_bytes)


def test_results_and_errors_come_back():
    big = np.arange(500_000)
    assert np.array_equal(call(lambda: big * 2), big * 2)

    def refuse():
        raise BadRecording("x.h5: no")

    with pytest.raises(BadRecording, match=r"^x\.h5: no$"):
        call(refuse)


def test_it_is_another_process_that_leaves_no_trace():
    changed, before = [], psutil.Process().children()
    assert call(lambda: (changed.append(1), os.getpid())[1]) != os.getpid()
    assert changed == [] and psutil.Process().children() == before


def test_many_open_files_are_no_obstacle():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard) if hard > 0 else 4096, hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        assert call(lambda: 42) == 42
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_file_stays_open():
    before = psutil.Process().num_fds()
    for _ in range(20):
        call(lambda: 1)
    assert psutil.Process().num_fds() == before


def test_a_crash_is_a_sentence():
    with pytest.raises(Failure, match="crashed \\(SIGSEGV\\)"):
        call(lambda: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(Failure, match="crashed \\(exit status 3\\)"):
        call(lambda: os._exit(3))


def test_a_hang_is_ended():
    begun, before = time.monotonic(), psutil.Process().children()
    with pytest.raises(Failure, match=r"took longer than 0\.3 s"):
        call(lambda: time.sleep(100), limit_s=0.3)
    assert time.monotonic() - begun < 50 and psutil.Process().children() == before


def test_a_copy_whose_parent_died_ends_by_itself():
    """Its processor time is limited; the limit is what is asked of the system."""
    import resource

    assert call(lambda: resource.getrlimit(resource.RLIMIT_CPU)[0], limit_s=2.5) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not bound the address space")
def test_memory_is_bounded():
    with pytest.raises(MemoryError):
        call(lambda: len(bytearray(4 * ROOM)))
    assert call(lambda: len(bytearray(ROOM // 4))) == ROOM // 4


def test_a_file_that_crashes_the_library_is_refused_and_others_are_read(tmp_path, monkeypatch):
    """The crash is planted where HDF5's own would be: in the reader, on one file."""
    for name in ("good", "bad"):
        write_small_mcs(tmp_path / f"{name}.h5", n_samples=500, labels=["F7", "F8"])
    with h5py.File(tmp_path / "bad.h5", "r+") as h5:
        h5[STREAM].attrs["crash"] = 1
    read = formats.mcs.read

    def crash(h5, path, stream, layouts):
        if path.name == "bad.h5":
            os.kill(os.getpid(), signal.SIGSEGV)
        return read(h5, path, stream, layouts)

    monkeypatch.setattr(formats.mcs, "read", crash)
    with pytest.raises(BadRecording, match=r"bad\.h5: HDF5 crashed \(SIGSEGV\) on it\. It is truncated or damaged"):
        formats.read_raw_recordings(tmp_path / "bad.h5", "raw")
    assert formats.read_raw_recordings(tmp_path / "good.h5", "raw")[0].n_samples == 500
