"""Files of Multi Channel Systems without voltages: time stamps are spikes; what is no recording is named."""

import h5py
import numpy as np
import pytest
from builders.mcs_files import read_one

from mea.recordings.formats import explain_streams, read_raw_recordings
from mea.runtime.errors import BadRecording

TEXT = h5py.string_dtype("ascii")
FIELDS = [("TimeStampEntityID", "i4"), ("GroupID", "i4"), ("Label", TEXT), ("Unit", TEXT), ("Exponent", "i4"),
          ("SourceChannelIDs", TEXT), ("SourceChannelLabels", TEXT)]  # fmt: skip
LABELS = ["12", "21", "55"]


def write_stamps(path, duration_us=0, unit="s", exponent=-6, subtype="NeuralSpike", labels=LABELS):
    """In falling order of id, labels padded, as the vendor writes them; the k-th electrode fires every k + 1 s."""
    with h5py.File(path, "w") as h5:
        h5.attrs["McsHdf5ProtocolType"] = np.bytes_("RawData")
        data = h5.create_group("Data")
        data.attrs["MeaLayout"] = np.bytes_("60MEA200/30iR   \r\n")
        data.attrs["DateInTicks"] = np.int64(638460000000000000)
        recording = data.create_group("Recording_0")
        recording.attrs["Duration"] = np.int64(duration_us)
        stream = recording.create_group("TimeStampStream/Stream_0")
        stream.attrs["DataSubType"] = np.bytes_(subtype)
        info = np.zeros(len(labels), FIELDS)
        for line in range(len(labels)):
            k = len(labels) - 1 - line
            info[line] = (k, 0, "", unit, exponent, str(k), f"{labels[k]:<42}\r\n")
            stamps = np.arange(1, 11, dtype="i8") * (k + 1) * 1_000_000
            stream.create_dataset(f"TimeStampEntity_{k}", data=stamps[None])
        stream.create_dataset("InfoTimeStamp", data=info)


@pytest.mark.parametrize(("duration_us", "duration_s", "begin"), [(60_000_000, 60.0, 0.0), (0, 29.0, 1.0)])
def test_time_stamps_are_read_as_spikes(tmp_path, duration_us, duration_s, begin):
    write_stamps(tmp_path / "a.h5", duration_us)
    source = read_one(tmp_path / "a.h5")
    for k, label in enumerate(LABELS):
        own = source.spike_times_s[source.spike_electrode == list(source.names).index(label)]
        np.testing.assert_allclose(own, np.arange(1, 11) * (k + 1) - begin)
    assert (source.duration_s, source.n_electrodes, source.n_samples) == (duration_s, 60, 0)
    assert source.start.startswith("2024-03-14T08:00") and ("first to the last spike" in str(source.notes)) == bool(
        begin
    )
    told = explain_streams(tmp_path / "a.h5", [source], "raw")
    assert told == ["the spikes' time stamps are read: the file holds no voltages"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"unit": "V"}, "time stamps of '55' are missing, or not in seconds"),
        ({"exponent": 3}, "not in seconds"),
        ({"labels": ["12", "11"]}, "electrode label '11' is unknown in the layout 60MEA"),
        ({"labels": ["12", "12"]}, "two channels on one electrode, '12'"),
        (
            {"subtype": "Trigger"},
            "holds only time stamps of something else than spikes, and neither voltages nor spikes",
        ),
    ],
)
def test_planted_faults_are_named(tmp_path, changed, message):
    write_stamps(tmp_path / "a.h5", **changed)
    (error,) = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert isinstance(error, BadRecording) and message in str(error)


@pytest.mark.parametrize(
    ("group", "held"),
    [
        ("SegmentStream/Stream_0", "cut-outs or averages"),
        ("FrameStream/Stream_0", "frames of a CMOS array"),
        ("x", "nothing"),
    ],
)
def test_what_is_no_recording_is_named_with_what_to_export(tmp_path, group, held):
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.attrs["McsHdf5ProtocolType"] = np.bytes_("RawData")
        h5.create_group(f"Data/Recording_0/{group}")
    (error,) = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert held in str(error) and "Export it with 'Electrode Raw Data'" in str(error)
