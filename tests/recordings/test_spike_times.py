"""Spike-time files, in the layout of ``charlesworth2015``."""

import io
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.recordings import write_small_spike_times

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.layouts import electrode_labels
from mea.recordings.recording import RawRecording, Recording, read_recording, write_recording
from mea.runtime.errors import BadRecording


def read_one(path: Path) -> RawRecording:
    (source,) = read_raw_recordings(path, "raw")
    if isinstance(source, BadRecording):
        raise source
    return source


# ---- the real recordings ----


@pytest.mark.slow
def test_all_real_recordings_are_read_spike_for_spike(shared_data, tmp_path):
    archives = sorted((shared_data / "charlesworth2015").glob("*.zip"))
    read = 0
    for archive in archives:
        with zipfile.ZipFile(archive) as members:
            for name in members.namelist():
                content = members.read(name)
                (tmp_path / "one.h5").write_bytes(content)
                compare_with_file(read_one(tmp_path / "one.h5"), content)
                read += 1
    assert read == 370


def compare_with_file(source: RawRecording, content: bytes) -> None:
    """Everything against the file itself: counts, trains, totals of its own summary, and its own positions."""
    with h5py.File(io.BytesIO(content)) as h5:
        spikes, counts, names, places, summary = (
            h5[key][...] for key in ("spikes", "sCount", "names", "epos", "summary/N")
        )
        assert source.duration_s == np.diff(h5["recordingtime"][...])[0]
        assert len(source.spike_times_s) == h5["summary/totalspikes"][0]
    found = {name: source.spike_times_s[source.spike_electrode == k] for k, name in enumerate(source.names)}
    assert sum(len(train) > 0 for train in found.values()) == summary[0] == len(names)
    first = 0
    for name, count, (x, y) in zip(names, counts, places.T):
        label = name.decode()[3:5]
        assert np.array_equal(found[label], spikes[first : first + count])
        place = list(source.names).index(label)
        assert (source.col[place], source.row[place]) == (x / 200 - 1, 8 - y / 200)  # epos counts from below, from 1
        first += count
    assert list(zip(source.row, source.col)) == list(electrode_labels("60MEA").values())


# ---- known answers ----


def test_names_are_column_then_row_and_silent_electrodes_are_listed(tmp_path):
    spikes = write_small_spike_times(tmp_path / "a.h5", names=["ch_87A_unit_0", "ch_12A_unit_0"])
    source = read_one(tmp_path / "a.h5")
    assert (source.format, source.layout, source.rows, source.cols) == ("spike_times", "MCS_8x8_200um", 8, 8)
    assert (source.sampling_rate_hz, source.n_samples, source.n_electrodes) == (0, 0, 60)
    low, high = list(source.names).index("12"), list(source.names).index("87")
    assert (source.row[low], source.col[low], source.row[high], source.col[high]) == (1, 0, 6, 7)
    assert (source.x_um[high], source.y_um[high]) == (1400, 1200)
    assert set(source.spike_electrode) == {low, high}
    assert np.array_equal(np.sort(source.spike_times_s), np.sort(spikes))
    assert source.spike_electrode[0] == low


def test_units_of_one_electrode_are_put_together_and_sorted(tmp_path):
    names = ["ch_33A_unit_0", "ch_33B_unit_0", "ch_33A_unit_1"]
    replaced = {"spikes": np.array([1.0, 4.0, 2.0, 3.0, 5.0]), "sCount": np.array([2, 1, 2], np.int32)}
    write_small_spike_times(tmp_path / "a.h5", names=names, **replaced)
    source = read_one(tmp_path / "a.h5")
    assert source.spike_times_s.tolist() == [1, 2, 3, 4, 5]
    assert set(source.names[source.spike_electrode]) == {"33"}


def test_times_are_relative_to_the_recordings_start(tmp_path):
    replaced = {"spikes": np.array([10.5, 12.0]), "sCount": np.array([2]), "recordingtime": np.array([10.0, 25.0])}
    write_small_spike_times(tmp_path / "a.h5", names=["ch_33A_unit_0"], **replaced)
    source = read_one(tmp_path / "a.h5")
    assert source.spike_times_s.tolist() == [0.5, 2.0]
    assert source.duration_s == 15


def test_a_silent_recording_is_told(tmp_path):
    replaced = {"spikes": np.zeros(0), "sCount": np.zeros(0, np.int32), "names": np.zeros(0, "S13")}
    write_small_spike_times(tmp_path / "a.h5", **replaced)
    source = read_one(tmp_path / "a.h5")
    assert (len(source.spike_times_s), source.notes) == (0, ("no spike in the whole recording",))


def test_what_states_the_class_is_not_read(tmp_path):
    for name, region in (("a.h5", b"hpc"), ("b.h5", b"ctx")):
        write_small_spike_times(tmp_path / name)
        with h5py.File(tmp_path / name, "r+") as h5:
            h5["meta/region"][...] = region
        write_recording(tmp_path / f"read_{name}", Recording("r", "f", "0", read_one(tmp_path / name)))
    assert (tmp_path / "read_a.h5").read_bytes() == (tmp_path / "read_b.h5").read_bytes()
    assert np.array_equal(
        read_recording(tmp_path / "read_a.h5").source.spike_times_s, read_one(tmp_path / "a.h5").spike_times_s
    )


def test_there_are_no_samples(tmp_path):
    write_small_spike_times(tmp_path / "a.h5")
    with pytest.raises(BadRecording, match=r"a\.h5: format 'spike_times' holds no samples"):
        read_counts(tmp_path / "a.h5", read_one(tmp_path / "a.h5"))


# ---- planted faults ----

THREE = {"names": ["ch_33A_unit_0", "ch_44A_unit_0"], "spikes": np.array([1.0, 2.0, 1.5]), "sCount": np.array([2, 1])}
FAULTS = {
    "too few": ({"sCount": np.array([1, 1])}, "spike counts (sCount) add up to 2, but there are 3 spikes"),
    "counts missing": ({"sCount": np.array([3])}, "1 spike counts (sCount) for 2 names"),
    "count negative": (
        {"sCount": np.array([4, -1])},
        "spike counts (sCount) must be integers from 0; they are [4, -1]",
    ),
    "count of another kind": ({"sCount": np.array([2.0, 1.0])}, "spike counts (sCount) must be integers from 0"),
    "negative": ({"spikes": np.array([-0.5, 2, 1])}, "spike time -0.5 s of ch_33A_unit_0 is negative"),
    "unsorted": ({"spikes": np.array([2.0, 1, 1])}, "spike time 1 s of ch_33A_unit_0 is earlier than the one before"),
    "late": (
        {"spikes": np.array([1.0, 2, 31])},
        "spike time 31 s of ch_44A_unit_0 lies outside recordingtime, 0 to 30 s",
    ),
    "early": (
        {"recordingtime": np.array([1.2, 9])},
        "spike time 1 s of ch_33A_unit_0 lies outside recordingtime, 1.2 to",
    ),
    "not finite": ({"spikes": np.array([1.0, np.nan, 1])}, "spike time nan s of ch_33A_unit_0 is not a number"),
    "endless": ({"spikes": np.array([1.0, 2, np.inf])}, "spike time inf s of ch_44A_unit_0 is not a number"),
    "two rows": ({"spikes": np.ones((1, 3))}, "spikes are float64 (1, 3); they must be one row of times in s"),
    "name": ({"names": ["ch_33A_unit_0", "el_44"]}, "unknown electrode name 'el_44'; it must look like ch_12A_unit_0"),
    "corner": ({"names": ["ch_33A_unit_0", "ch_11A_unit_0"]}, "unknown electrode name 'ch_11A_unit_0'"),
    "name twice": ({"names": ["ch_33A_unit_0"] * 2}, "channel name 'ch_33A_unit_0' occurs twice"),
    "array": ({"array": np.array(["MCS_9x9"], "S")}, "array: layout 'MCS_9x9' is unknown; known are"),
    "time backwards": (
        {"recordingtime": np.array([30.0, 0])},
        "recordingtime is [30.0, 0.0]; it must be start and a later",
    ),
    "time endless": ({"recordingtime": np.array([0, np.inf])}, "recordingtime is [0.0, inf]"),
    "time alone": ({"recordingtime": np.array([30.0])}, "recordingtime is [30.0]"),
    "no counts": ({"sCount": None}, "has no dataset 'sCount'. It is incomplete"),
    "no array": ({"array": None}, "has no dataset 'array'"),
}


@pytest.mark.parametrize(("fault", "text"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_named(tmp_path, fault, text):
    path = tmp_path / "bad.h5"
    values = THREE | fault
    names = values.pop("names")
    if names is None:
        write_small_spike_times(path, **values | {"names": ["x"]})
        with h5py.File(path, "r+") as h5:
            del h5["names"]
    else:
        write_small_spike_times(path, names=names, **values)
    with pytest.raises(BadRecording, match=f"^{re.escape(f'{path}: {text}')}"):
        read_one(path)


def test_the_three_spikes_without_a_fault_are_read(tmp_path):
    write_small_spike_times(tmp_path / "good.h5", **THREE)
    assert read_one(tmp_path / "good.h5").spike_times_s.tolist() == [1, 2, 1.5]
