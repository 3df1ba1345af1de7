"""Files of Multi Channel Systems as a whole: which are no such file, truncated, linked or damaged."""

import os
import shutil

import h5py
import numpy as np
import pytest
from builders.mcs_files import FOUR, STREAM, read_one, replace_samples
from builders.recordings import write_small_mcs

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording


def test_no_file_no_hdf5_and_no_known_format_are_told_apart(tmp_path):
    (tmp_path / "text.h5").write_text("recording,label\n")
    with h5py.File(tmp_path / "other.h5", "w") as h5:
        h5["x"] = 1
    with h5py.File(tmp_path / "cmos.h5", "w") as h5:
        h5.attrs["McsHdf5ProtocolType"] = np.bytes_(b"CMOS_MEA")
        h5.create_group("Data/Recording_0")
    with pytest.raises(BadRecording, match=r"none\.h5: no such file"):
        read_raw_recordings(tmp_path / "none.h5", "raw")
    with pytest.raises(BadRecording, match=r"text\.h5: not an HDF5 file"):
        read_raw_recordings(tmp_path / "text.h5", "raw")
    for name in ("other.h5", "cmos.h5"):
        with pytest.raises(BadRecording, match=f"{name}: HDF5 of no known format; known are Multi Channel Systems"):
            read_raw_recordings(tmp_path / name, "raw")


@pytest.mark.parametrize("left", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, left):
    path = tmp_path / "a.h5"
    write_small_mcs(path, **FOUR)
    os.truncate(path, int(path.stat().st_size * left))
    with pytest.raises(BadRecording, match=r"a\.h5.*cannot be read .*truncated or damaged: copy it again"):
        read_one(path)


@pytest.mark.parametrize("place", [STREAM, f"{STREAM}/ChannelData", "Data", "elsewhere"])
def test_an_external_link_is_refused_before_it_is_followed(tmp_path, place):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    shutil.copyfile(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        if place in h5:
            del h5[place]
        h5[place] = h5py.ExternalLink(str(tmp_path / "b.h5"), place)
    with pytest.raises(BadRecording, match=f"a.h5: /{place} is an external link"):
        read_raw_recordings(tmp_path / "a.h5", "raw")


def test_a_soft_link_inside_the_file_is_followed_and_a_dangling_one_named(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        h5.move(f"{STREAM}/ChannelData", "samples")
        h5[f"{STREAM}/ChannelData"] = h5py.SoftLink("/samples")
        h5["loop"] = h5["Data"]
    assert read_counts(tmp_path / "a.h5", read_one(tmp_path / "a.h5")).shape == (4, 5000)
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        del h5["samples"]
    with pytest.raises(BadRecording, match="has no dataset 'ChannelData'"):
        read_one(tmp_path / "a.h5")


def test_samples_kept_in_other_files_are_refused(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    shutil.copyfile(tmp_path / "a.h5", tmp_path / "b.h5")
    (tmp_path / "samples.bin").write_bytes(bytes(4 * 5000 * 4))
    replace_samples(tmp_path / "a.h5", shape=(4, 5000), dtype="<i4", external=[(tmp_path / "samples.bin", 0, 80_000)])
    layout = h5py.VirtualLayout((4, 5000), "<i4")
    layout[...] = h5py.VirtualSource(tmp_path / "a.h5", f"{STREAM}/ChannelData", (4, 5000))
    with h5py.File(tmp_path / "b.h5", "r+") as h5:
        del h5[STREAM]["ChannelData"]
        h5[STREAM].create_virtual_dataset("ChannelData", layout)
    for name in ("a.h5", "b.h5"):
        with pytest.raises(BadRecording, match=f"{name}: /{STREAM}/ChannelData keeps its samples in other files"):
            read_raw_recordings(tmp_path / name, "raw")


def test_too_little_memory_is_not_called_damage(tmp_path):
    from mea.recordings.formats.hdf5 import explain_damage

    with pytest.raises(BadRecording, match=r"^a.h5: too large for this machine's memory"), explain_damage("a.h5"):
        np.empty((2**31, 2**28))


@pytest.mark.slow
def test_no_flipped_byte_escapes_as_a_stack_trace(tmp_path):
    path, bad = tmp_path / "a.h5", tmp_path / "bad.h5"
    write_small_mcs(path, labels=["A4", "M9"], n_samples=300, filtered=True)
    content = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 2):
            damaged[place] = random.integers(0, 256)
        bad.write_bytes(damaged)
        try:
            for source in read_raw_recordings(bad, "raw"):
                if isinstance(source, RawRecording):
                    read_counts(bad, source)
        except BadRecording:
            refused += 1
    assert refused > 0
