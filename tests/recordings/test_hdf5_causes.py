"""What HDF5 says of files that are whole is not called damage: open elsewhere, packed by a filter, empty, converted."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from builders.mcs_files import STREAM
from builders.recordings import write_small_mcs

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.formats.hdf5 import explain_damage
from mea.runtime.errors import BadRecording

HOLD = """
import sys, h5py
file = h5py.File(sys.argv[1], "r+")
print("open", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_program_writes(tmp_path):
    path = tmp_path / "a.h5"
    write_small_mcs(path, n_samples=500, labels=["F7", "F8"])
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(BadRecording, match=r"another program has it open\. Close it there, and try again"):
            read_raw_recordings(path, "raw")
        writer.stdin.close()
    assert read_raw_recordings(path, "raw")[0].n_samples == 500


def test_an_empty_file(tmp_path):
    (tmp_path / "a.h5").touch()
    with pytest.raises(BadRecording, match=r"is empty, 0 bytes\. Copy it again"):
        read_raw_recordings(tmp_path / "a.h5", "raw")


def test_line_ends_that_were_converted(tmp_path):
    write_small_mcs(tmp_path / "a.h5", n_samples=500, labels=["F7", "F8"])
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(content.replace(b"\r\n", b"\n"))
    with pytest.raises(BadRecording, match=r"its line ends were converted.*Copy it again, as binary"):
        read_raw_recordings(tmp_path / "a.h5", "raw")


def test_a_filter_that_is_not_there(tmp_path):
    """The samples are written with a filter number that nobody has registered."""
    path = tmp_path / "a.h5"
    write_small_mcs(path, n_samples=500, labels=["F7", "F8"])
    with h5py.File(path, "r+") as h5:
        del h5[STREAM]["ChannelData"]
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((2, 500))
        settings.set_filter(32_099, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((2, 500))
        data = h5py.h5d.create(h5[STREAM].id, b"ChannelData", h5py.h5t.NATIVE_INT32, space, settings)
        data.write_direct_chunk((0, 0), np.zeros((2, 500), np.int32).tobytes())
    (source,) = read_raw_recordings(path, "raw")
    with pytest.raises(BadRecording, match=r"packed by a filter that h5py lacks\. Export it with gzip"):
        read_counts(path, source)


def test_anything_else_is_still_damage():
    with (
        pytest.raises(BadRecording, match=r"x: cannot be read \(bad bytes\)\. It is truncated or damaged"),
        explain_damage("x"),
    ):
        raise OSError("bad bytes")
