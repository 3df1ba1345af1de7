"""Faults planted in files of Multi Channel Systems: each is named, with its remedy."""

import os
import re

import h5py
import numpy as np
import pytest
from builders.mcs_files import FOUR, STREAM, edit_channels, read_one, replace_samples
from builders.recordings import make_small_counts, write_small_mcs

from mea.recordings.formats import read_counts
from mea.recordings.formats.mcs_layout import RigRecording, Stream
from mea.recordings.formats.mcs_writer import write_mcs_file
from mea.runtime.errors import BadRecording

FAULTS = {
    "row outside": ({"row_index": [0, 1, 2, 4]}, "row index 4 of channel 'J12' is outside the data, which has 4 rows"),
    "row negative": ({"row_index": [0, 1, 2, -1]}, "row index -1 of channel 'J12' is outside the data"),
    "row twice": ({"row_index": [0, 1, 2, 2]}, "row index 2 is used by two channels"),
    "gain zero": (
        {"conversion_factor": [1, 1, 0, 1]},
        "gain 0 x 10\\^-12 V per count of electrode 'D1'; it must be above 0",
    ),
    "gain negative": ({"conversion_factor": -5}, "gain -5 x 10\\^-12 V per count of electrode 'D1'"),
    "gain endless": ({"exponent": 400}, "gain 59605 x 10\\^400 V per count of electrode 'D1'"),
    "tick zero": ({"tick_us": 0}, "tick 0 µs of electrode 'D1'; it must be 1 to 1000000"),
    "tick negative": ({"tick_us": -40}, "tick -40 µs of electrode 'D1'"),
    "ticks differ": ({"tick_us": [40, 40, 100, 40]}, "channels with different ticks, 40 and 100 µs"),
    "unit": ({"unit": ["V", "V", "V ", "NoUnit"]}, "unit 'NoUnit' of electrode 'J12'; it must be 'V'"),
    "label unknown": ({"labels": ["A4", "A1", "D1", "J12"]}, "electrode label 'A1' is unknown in the layout 120MEA"),
    "label twice": ({"labels": ["A4", "D1", "D1", "J12"]}, "two channels on one electrode, 'D1'"),
    "only references": ({"labels": ["Ref", "ref", "Ref1", "Ref2"]}, "no channels but references"),
    "layout unknown": (
        {"labels": ["x", "y", "z", "A4"], "layout": "24W"},
        "layout '24W' is unknown, and its electrode",
    ),
    "no labels": ({"labels": [""] * 4}, "layout '120MEA200/30iR-Ti' of 4 channels is unknown without electrode labels"),
    "no electrodes": (
        {"subtype": "Auxiliary"},
        "no raw electrode stream. Streams seen: Stream_0 .*Auxiliary, 4 channels",
    ),
    "no samples": ({"n_samples": 0}, "empty recording, 0 samples"),
    "no segment": ({"segments": np.zeros((0, 3))}, r"ChannelDataTimeStamps has the shape \(0, 3\), not segments x 3"),
    "segment short": (
        {"segments": [[0, 0, 4000]]},
        r"ChannelDataTimeStamps \[\[0, 0, 4000\]\] do not cover the samples",
    ),
    "segment backwards": ({"segments": [[9, 0, 99], [8, 100, 4999]]}, ".* do not cover the samples 0 to 4999"),
}


@pytest.mark.parametrize(("oddities", "text"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_named(tmp_path, oddities, text):
    path = tmp_path / "bad.h5"
    write_small_mcs(path, **FOUR | oddities)
    with pytest.raises(BadRecording, match=f"^{re.escape(str(path))}: Recording_0.*: {text}"):
        read_one(path)


def test_a_file_without_the_filtered_stream_says_what_it_has(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    with pytest.raises(
        BadRecording, match=r"no filtered electrode stream. Streams seen: Stream_0 'Data Acq.*straight fr"
    ):
        read_one(tmp_path / "a.h5", "filtered")


@pytest.mark.parametrize(
    ("gone", "text"),
    [
        (f"{STREAM}/ChannelData", "has no dataset 'ChannelData'"),
        (f"{STREAM}/InfoChannel", "has no dataset 'InfoChannel'"),
        (f"{STREAM}/ChannelDataTimeStamps", "has no dataset 'ChannelDataTimeStamps'"),
        (
            "Data/Recording_0/AnalogStream",
            "Recording_0: holds nothing that was measured, and neither voltages",
        ),
        (STREAM, "no raw electrode stream. Streams seen: none"),
        ("Data/Recording_0", r"no recording in it \(no group Data/Recording_<number>\)"),
        ("Data", r"no recording in it \(no group Data/Recording_<number>\)"),
    ],
)
def test_a_missing_part_is_named(tmp_path, gone, text):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        del h5[gone]
    with pytest.raises(BadRecording, match=text):
        read_one(tmp_path / "a.h5")


def test_a_missing_field_of_the_channels_is_named(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    edit_channels(
        tmp_path / "a.h5", lambda channels: channels[["RowIndex", "Label", "Unit", "Exponent", "ADZero", "Tick"]]
    )
    with pytest.raises(BadRecording, match="InfoChannel has no field 'ConversionFactor'"):
        read_one(tmp_path / "a.h5")


def test_a_stream_without_channels_is_refused(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    edit_channels(tmp_path / "a.h5", lambda channels: channels[:0])
    with pytest.raises(BadRecording, match=r"Stream_0: no channels\. Export"):
        read_one(tmp_path / "a.h5")


def test_rows_without_channel_are_refused_where_there_are_no_labels(tmp_path):
    counts = make_small_counts(121, 500)
    write_mcs_file(tmp_path / "a.h5", [RigRecording([Stream(counts, [""] * 121, 40)])])
    edit_channels(tmp_path / "a.h5", lambda channels: channels[1:])
    with pytest.raises(BadRecording, match="no electrode labels, and rows without channel"):
        read_one(tmp_path / "a.h5")


@pytest.mark.parametrize("values", [np.zeros((4, 50)), np.zeros(50, np.int32)])
def test_samples_of_another_kind_are_refused(tmp_path, values):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    replace_samples(tmp_path / "a.h5", data=values)
    with pytest.raises(BadRecording, match=r"ChannelData is .* \(.*50.*\); it must be integers, channels x samples"):
        read_one(tmp_path / "a.h5")


@pytest.mark.parametrize("chunks", [(4, 1000), None])
def test_samples_that_were_never_written_are_not_taken_for_zeros(tmp_path, chunks):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    replace_samples(tmp_path / "a.h5", shape=(4, 5000), dtype="<i4", chunks=chunks)
    if chunks:
        with h5py.File(tmp_path / "a.h5", "r+") as h5:
            h5[STREAM]["ChannelData"][:, :4000] = 1
    with pytest.raises(BadRecording, match=r"samples are missing: (4 of 5|0 of 1) blocks of ChannelData were written"):
        read_one(tmp_path / "a.h5")


def test_counts_beyond_int32_are_refused(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    replace_samples(tmp_path / "a.h5", data=np.full((4, 5000), 2**31, np.int64))
    source = read_one(tmp_path / "a.h5")
    with pytest.raises(BadRecording, match="holds counts beyond int32"):
        read_counts(tmp_path / "a.h5", source)


def test_samples_stored_in_one_piece_are_read_too(tmp_path):
    counts = write_small_mcs(tmp_path / "a.h5", **FOUR)
    replace_samples(tmp_path / "a.h5", data=counts)
    source = read_one(tmp_path / "a.h5")
    order = [FOUR["labels"].index(name) for name in source.names]
    assert np.array_equal(read_counts(tmp_path / "a.h5", source), counts[order])


def test_a_damaged_chunk_is_found_when_the_samples_are_read(tmp_path):
    path = tmp_path / "a.h5"
    write_small_mcs(path, **FOUR)
    source = read_one(path)
    with h5py.File(path) as h5:
        chunk = h5[source.dataset].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + 5)
        file.write(os.urandom(64))
    with pytest.raises(BadRecording, match=f"^{path}: {source.dataset}: cannot be read .*truncated or damaged"):
        read_counts(path, source)


def test_a_file_that_changed_is_noticed(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    source = read_one(tmp_path / "a.h5")
    write_small_mcs(tmp_path / "a.h5", **FOUR | {"n_samples": 4000})
    with pytest.raises(BadRecording, match=r"has the shape \(4, 4000\), not the 5000 samples read before"):
        read_counts(tmp_path / "a.h5", source)
