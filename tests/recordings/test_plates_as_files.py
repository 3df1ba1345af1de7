"""Plates in the formats that hold them: each well is a recording, on a grid of its own, of a culture of its own."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.mcs_files import edit_channels, read_one
from builders.recordings import make_small_counts, write_small_mcs, write_small_spike_times
from numpy.lib import recfunctions

from mea.recordings.archives import unpack
from mea.recordings.formats import explain_streams, read_counts, read_raw_recordings
from mea.recordings.formats.mcs_layout import Stream
from mea.recordings.formats.mcs_writer import RigRecording, write_mcs_file
from mea.recordings.identities import identify_nobody
from mea.recordings.labels import FilePatterns, choose_identify
from mea.recordings.plate_map import read_plate_map
from mea.recordings.reading import read_recordings
from mea.runtime.errors import BadRecording, MeaError

PLATES = Path(__file__).parents[3] / "shared/data/cotterill2016"
WELL12 = ["12", "13", "21", "22", "23", "24", "31", "32", "33", "34", "42", "43"]


def write_plate(path, names=("A1_11", "A1_44", "F8_23"), wells=("A1", "A2", "F8"), treatment=None, **replaced):
    """Spike times of a plate of 48 wells: 20, 30 and 40 spikes, from 100 s on, without recordingtime."""
    random = np.random.default_rng(0)
    trains = [np.sort(random.uniform(100, 160, 10 * (k + 2))) for k in range(len(names))]
    trains[0][0], trains[-1][-1] = 100.0, 160.0
    values = {
        "names": names, "array": np.array("Axion 48 well", "S"), "recordingtime": None,
        "spikes": np.concatenate(trains), "sCount": np.array([len(train) for train in trains], np.int32),
        "well": np.array(wells, "S"),
    } | replaced  # fmt: skip
    write_small_spike_times(path, **{name: value for name, value in values.items() if name != "well"})
    with h5py.File(path, "r+") as h5:
        if values["well"] is not None:
            h5["well"] = values["well"]
        if treatment is not None:
            h5["treatment"] = np.array(treatment, "S")
    return trains


# Spike times of a plate


def test_wells_of_a_spike_time_plate(tmp_path):
    trains = write_plate(tmp_path / "20130814_P1_DIV05.h5")
    found = read_raw_recordings(tmp_path / "20130814_P1_DIV05.h5", "raw")
    assert [(one.well, one.plate, len(one.spike_times_s)) for one in found] == [
        ("A1", "20130814_P1", 50), ("A2", "20130814_P1", 0), ("F8", "20130814_P1", 40),
    ]  # fmt: skip
    first = found[0]
    assert (first.rows, first.cols, first.n_electrodes, first.duration_s) == (4, 4, 16, 60.0)
    assert {(int(first.row[k]), int(first.col[k])) for k in first.spike_electrode} == {(0, 0), (3, 3)}
    np.testing.assert_allclose(np.sort(first.spike_times_s), np.sort(np.concatenate(trains[:2])) - 100)
    for one in found:
        assert "from the first to the last spike of the plate, 100 to 160 s" in one.notes[0]
    assert found[1].notes[1] == "no spike in the whole recording"
    assert len(explain_streams(tmp_path / "20130814_P1_DIV05.h5", found, "raw")) == 3


def test_wells_that_were_not_used_are_left_out(tmp_path):
    write_plate(tmp_path / "a.h5", wells=("A1", "A2", "F8", "B1"), treatment=("control", "not used", "drug", "control"))
    assert [one.well for one in read_raw_recordings(tmp_path / "a.h5", "raw")] == ["A1", "B1", "F8"]


def test_without_a_list_of_wells_all_are_there(tmp_path):
    write_plate(tmp_path / "a.h5", well=None)
    assert len(read_raw_recordings(tmp_path / "a.h5", "raw")) == 48


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"names": ("A1_11", "A1_44", "H9_23")}, "well 'H9' is not on this plate (A1 to F8)"),
        ({"names": ("A1_11", "A1_45", "F8_23")}, "A1: electrode '45' is not in the layout Axion4x4"),
        ({"names": ("A1_11", "A1", "F8_23")}, "electrode name 'A1' must look like A1_24"),
        ({"array": np.array(["Axion 50 well"], "S")}, "plate 'Axion 50 well' is unknown"),
    ],
)
def test_faults_of_a_plate_are_named(tmp_path, changed, message):
    write_plate(tmp_path / "a.h5", **changed)
    (error,) = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert isinstance(error, BadRecording) and message in str(error)


def test_ids_groups_and_the_plate_map(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for day in ("DIV05", "DIV07"):
        write_plate(raw / f"20130814_P1_{day}.h5")
        with h5py.File(raw / f"20130814_P1_{day}.h5", "r+") as h5:
            h5.attrs["day"] = day  # or the two would be one file twice
    (raw / "plates.csv").write_text(
        "plate,well,label\n20130814_P1,A1:A8,drug\n20130814_P1,F8,control\n", encoding="utf-8"
    )
    manifest = unpack(raw, tmp_path / "out")
    plates = read_plate_map(tmp_path / "out/plates.csv")
    by_map = read_recordings(tmp_path / "out", manifest, "raw", choose_identify(None, FilePatterns({}), plates))
    assert [(one.recording, one.label, one.culture, one.batch) for one in by_map[:3]] == [
        ("20130814_P1_DIV05_A1", "drug", "20130814_P1_A1", "20130814_P1"),
        ("20130814_P1_DIV05_A2", "drug", "20130814_P1_A2", "20130814_P1"),
        ("20130814_P1_DIV05_F8", "control", "20130814_P1_F8", "20130814_P1"),
    ]
    days = FilePatterns({"5": ["DIV05"], "7": ["DIV07"]}, batch="^([0-9]{8})_")
    by_name = read_recordings(tmp_path / "out", manifest, "raw", choose_identify(None, days))
    assert [one.label for one in by_name] == ["5"] * 3 + ["7"] * 3
    assert {one.batch for one in by_name} == {"20130814"}
    assert len({one.culture for one in by_name}) == 3, "a well is the same culture on every day"


def test_no_two_recordings_have_one_id(tmp_path):
    (tmp_path / "raw").mkdir()
    write_plate(tmp_path / "raw/p.h5")
    write_small_spike_times(tmp_path / "raw/p_A1.h5")
    manifest = unpack(tmp_path / "raw", tmp_path / "out")
    with pytest.raises(MeaError, match="p_A1: the id of two recordings"):
        read_recordings(tmp_path / "out", manifest, "raw", identify_nobody)


@pytest.mark.skipif(not PLATES.exists(), reason=f"{PLATES} is not here: recordings stay out of the repository")
def test_a_genuine_plate(tmp_path):
    """The oracle cuts the trains by hand."""
    manifest = unpack(PLATES / "20131113_MW1007-51.zip", tmp_path / "out")
    file = tmp_path / "out" / manifest.file[0]
    with h5py.File(file) as h5:
        names = [name.decode() for name in h5["names"]]
        trains = np.split(h5["spikes"][...], np.cumsum(h5["sCount"][...])[:-1])
    first, last = min(train.min() for train in trains), max(train.max() for train in trains)
    found = {one.well: one for one in read_raw_recordings(file, "raw")}
    assert len(found) == 48
    for well, one in found.items():
        assert one.duration_s == last - first
        for k in range(one.n_electrodes):
            own = [train for name, train in zip(names, trains) if name == f"{well}_{one.names[k]}"]
            expected = own[0] - first if own else np.zeros(0)
            assert np.array_equal(one.spike_times_s[one.spike_electrode == k], expected)


# Spike-time files as they really are


def test_a_file_without_recordingtime_is_bounded_by_its_spikes(tmp_path):
    times = np.array([3600.5, 3601.0, 3604.5])
    write_small_spike_times(
        tmp_path / "a.h5", names=["ch_12A_unit_0"], spikes=times, sCount=np.array([3], np.int32), recordingtime=None
    )
    source = read_one(tmp_path / "a.h5")
    assert source.duration_s == 4.0 and source.spike_times_s.tolist() == [0.0, 0.5, 4.0]
    assert source.notes == ("no length in the file: from the first to the last spike of the file, 3600.5 to 3604.5 s",)


def test_a_silent_file_without_recordingtime_has_no_length(tmp_path):
    none = {"names": np.zeros(0, "S13"), "spikes": np.zeros(0), "sCount": np.zeros(0, np.int32), "recordingtime": None}
    write_small_spike_times(tmp_path / "a.h5", **none)
    (error,) = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert "states neither beginning nor end" in str(error)
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        h5["summary.table"] = np.array([(0.0, 12.5)], [("time.min", "f8"), ("time.max", "f8")])
    source = read_one(tmp_path / "a.h5")
    assert source.duration_s == 12.5 and "as summary.table states" in source.notes[0]


@pytest.mark.parametrize("layout", ["MCS_8x8_200um", "MCS_8x8_100um", "MCS_8x8_42um"])
def test_without_names_epos_places_the_electrodes(tmp_path, layout):
    """As in charlesworth2015: ch_12 is column 1, row 2, at x = 1 and y = 7 pitches."""
    pitch = float(layout.split("_")[2].removesuffix("um"))
    names = ["ch_12A_unit_0", "ch_55A_unit_0", "ch_87A_unit_0"]
    places = pitch * np.array([[1, 5, 8], [7, 4, 2]])
    write_small_spike_times(tmp_path / "named.h5", names=names, array=np.array(layout, "S"))
    write_small_spike_times(tmp_path / "placed.h5", names=names, array=np.array(layout, "S"), epos=places)
    with h5py.File(tmp_path / "placed.h5", "r+") as h5:
        del h5["names"]
    named, placed = read_one(tmp_path / "named.h5"), read_one(tmp_path / "placed.h5")
    assert np.array_equal(named.spike_electrode, placed.spike_electrode)
    assert placed.notes == ("no electrode names: places are those of epos, x to the right and y upwards",)


@pytest.mark.parametrize("wrong", [(1, 8), (0, 3), (3, 9), (2.5, 3)])
def test_a_wrong_place_is_not_guessed(tmp_path, wrong):
    """The corner that has no electrode, places off the grid, and one between two electrodes."""
    write_small_spike_times(tmp_path / "a.h5", names=["ch_12A_unit_0"], epos=200.0 * np.array([wrong]).T)
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        del h5["names"]
    (error,) = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert "is no place of MCS_8x8_200um" in str(error)


# Multi Channel Systems


def write_multiwell(path, layout="24W300/30G-288", groups=None, counts=None):
    counts = make_small_counts(288, 2000, sampling_rate_hz=20_000) if counts is None else counts
    write_mcs_file(path, [RigRecording([Stream(counts, WELL12 * 24, tick_us=50)])], layout=layout)
    groups = np.repeat(np.arange(24), 12) if groups is None else groups

    def add_groups(channels):
        if "GroupID" in channels.dtype.names:
            channels["GroupID"] = groups
            return channels
        return recfunctions.append_fields(channels, "GroupID", groups.astype("i4"), usemask=False)

    edit_channels(path, add_groups)
    return counts


def test_wells_of_a_multiwell_file(tmp_path):
    counts = write_multiwell(tmp_path / "p_DIV3.h5")
    found = read_raw_recordings(tmp_path / "p_DIV3.h5", "raw")
    assert [one.well for one in found] == [f"{row}{col}" for row in "ABCD" for col in range(1, 7)]
    assert {(one.rows, one.cols, one.n_electrodes, one.plate) for one in found} == {(4, 4, 12, "p")}
    one = found[7]
    assert one.well == "B2" and one.names.tolist()[:2] == ["21", "31"], "row by row: 21 is column 2, row 1"
    order = [WELL12.index(name) + 7 * 12 for name in one.names]
    assert np.array_equal(read_counts(tmp_path / "p_DIV3.h5", one), counts[order])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"layout": "96W700/100F-288"}, "plate '96W700/100F-288' is unknown; known are plates of 24 wells"),
        ({"groups": np.repeat(np.arange(1, 25), 12)}, "group 24 is none of the 24 wells"),
        ({"layout": "60MEA200/30iR"}, "two channels on one electrode"),
    ],
)
def test_faults_of_a_multiwell_file_are_named(tmp_path, changed, message):
    write_multiwell(tmp_path / "p.h5", **changed)
    (error,) = read_raw_recordings(tmp_path / "p.h5", "raw")
    assert message in str(error)


def test_channels_that_are_no_electrodes_are_left_out(tmp_path):
    write_small_mcs(tmp_path / "a.h5", labels=["F7", "F8", "An1", "Di 2", "Ref"], n_samples=500)
    source = read_one(tmp_path / "a.h5")
    assert source.names.tolist() == ["F7", "F8"] and source.source_row.tolist() == [0, 1]
    assert source.notes == ("reference left out: Ref", "no electrode, left out: An1, Di 2")


def test_an_empty_stream_is_not_taken_before_a_full_one(tmp_path):
    empty = Stream(np.zeros((4, 0), np.int32), ["F7", "F8", "F9", "F10"], tick_us=40)
    full = Stream(make_small_counts(4, 500), ["F7", "F8", "F9", "F10"], tick_us=40)
    write_mcs_file(tmp_path / "a.h5", [RigRecording([empty, full])])
    assert read_one(tmp_path / "a.h5").n_samples == 500
