"""Multi Channel Systems files: written as the vendor does, read as the vendor's own reader reads them."""

import hashlib
import re
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.mcs_files import FOUR, read_one
from builders.recordings import make_small_counts, write_small_mcs
from hypothesis import given, settings
from hypothesis import strategies as st
from McsPy import McsData

from mea.recordings.formats import explain_streams, read_counts, read_raw_recordings
from mea.recordings.formats.mcs_layout import RigRecording, Stream
from mea.recordings.formats.mcs_writer import find_tick_us, write_mcs, write_mcs_file
from mea.recordings.layouts import RIG_ROW_ORDER
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

McsData.VERBOSE = False
VENDOR_FILE = "mcs_vendor/2014-07-09T10-17-35W8 Standard all 500 Hz.h5"


def measure_volts(path: Path, source: RawRecording) -> np.ndarray:
    return (read_counts(path, source) - source.adc_zero[:, None]) * source.gain_v[:, None]


def read_vendor_volts(path: Path, source: RawRecording) -> tuple[np.ndarray, object]:
    """(electrodes, samples) V by the vendor's reader, in the order of ``source.names``; and its stream."""
    _, recording, _, stream, _ = source.dataset.strip("/").split("/")
    file = McsData.RawData(str(path))
    analog = file.recordings[int(recording.split("_")[1])].analog_streams[int(stream.split("_")[1])]
    channels = {info.label.strip(): number for number, info in analog.channel_infos.items()}
    signals = [analog.get_channel(channels[name]) for name in source.names]
    assert all(str(unit) == "volt" for _, unit in signals)
    analog.kept = file  # when it goes, the file is closed
    return np.array([signal for signal, _ in signals]), analog


# ---- what the vendor's reader says ----


@pytest.mark.parametrize(("stream", "number", "start_us"), [("raw", 1, 100_000), ("filtered", 0, 0)])
def test_the_vendors_file_is_read_to_the_exact_volt(shared_data, stream, number, start_us):
    path = shared_data / VENDOR_FILE
    source = read_one(path, stream)
    volts, analog = read_vendor_volts(path, source)
    assert source.dataset == f"/Data/Recording_0/AnalogStream/Stream_{number}/ChannelData"
    assert np.array_equal(measure_volts(path, source), volts)
    assert source.stream == analog.label
    assert np.array_equal(source.segments, analog.timestamp_index)
    assert source.segments[0, 0] == start_us
    assert (source.sampling_rate_hz, source.rows, source.cols, source.n_electrodes) == (500, 8, 1, 8)
    assert source.n_samples == analog.channel_data.shape[1]


def test_the_vendors_file_tells_when_it_began(shared_data):
    vendor = McsData.RawData(str(shared_data / VENDOR_FILE)).date
    found = datetime.fromisoformat(read_one(shared_data / VENDOR_FILE, "filtered").start)
    assert abs(found - vendor) < timedelta(microseconds=10)  # the vendor's reader takes the ticks through a float
    assert read_one(shared_data / VENDOR_FILE, "raw").start == "2014-07-09T10:17:35.272098"


@pytest.mark.parametrize("stream", ["raw", "filtered"])
def test_per_channel_gain_zero_and_shuffled_rows_agree_with_the_vendor(tmp_path, stream):
    random = np.random.default_rng(1)
    oddities = {
        "row_index": random.permutation(120),
        "adc_zero": random.integers(-40_000, 40_000, 120),
        "conversion_factor": random.integers(1, 2**40, 120),
        "exponent": random.integers(-18, -9, 120),
    }
    path = tmp_path / "a.h5"
    write_small_mcs(path, n_samples=5000, filtered=True, **oddities)
    source = read_one(path, stream)
    volts, _ = read_vendor_volts(path, source)
    assert np.array_equal(measure_volts(path, source), volts)
    assert len(set(source.gain_v)) == 120


def test_microvolts_are_the_predecessors(tmp_path):
    labels, factor, exponent, adc_zero = ["M9", "A4"], [59605, 381470], [-12, -9], [7, -32768]
    counts = write_small_mcs(
        tmp_path / "a.h5", n_samples=3000, labels=labels, conversion_factor=factor, exponent=exponent, adc_zero=adc_zero
    )
    source = read_one(tmp_path / "a.h5")
    found = measure_volts(tmp_path / "a.h5", source) * 1e6
    for row, name in enumerate(source.names):
        k = labels.index(name)
        assert np.array_equal(
            found[row], ((counts[k].astype(float) - adc_zero[k]) * (factor[k] * 10.0 ** exponent[k])) * 1e6
        )


def test_what_is_written_has_the_vendors_types_to_the_byte(tmp_path, shared_data):
    write_mcs(
        tmp_path / "a.h5",
        Stream(make_small_counts(8, 9800), [f"E{k}" for k in range(1, 9)], find_tick_us(500)),
        filtered=make_small_counts(8, 9850),
        layout="Linear8",
        start="2014-07-09T10:17:35.172098",
    )
    ours, theirs = describe_layout(tmp_path / "a.h5"), describe_layout(shared_data / VENDOR_FILE)
    assert len(ours) == 60
    assert {name: theirs[name] for name in ours} == ours
    extra = {name.split("/")[2].split(" ")[0] for name in theirs if name not in ours}
    assert extra == {"EventStream", "SegmentStream", "TimeStampStream"}


def describe_layout(path: Path) -> dict[str, tuple]:
    """Of every group, dataset and attribute: the HDF5 type, shape limits, chunks and filters; not the values."""
    found = {}

    def note(name, item):
        found[name] = ()
        if isinstance(item, h5py.Dataset):
            plist = item.id.get_create_plist()
            members = encode_type(item.id.get_type())
            found[name] = (members, item.maxshape, item.chunks, item.compression, item.shuffle, plist.get_layout())
        for key in item.attrs:
            found[f"{name} {key}"] = encode_type(item.attrs.get_id(key).get_type())

    with h5py.File(path) as h5:
        h5.visititems(note)
        assert "McsHdf5ProtocolVersion" in h5.attrs
    return found


def encode_type(kind) -> tuple:
    if isinstance(kind, h5py.h5t.TypeCompoundID):
        return tuple(
            (kind.get_member_name(k), kind.get_member_offset(k), encode_type(kind.get_member_type(k)))
            for k in range(kind.get_nmembers())
        )
    if isinstance(kind, h5py.h5t.TypeStringID):
        return (kind.get_size(), kind.is_variable_str(), kind.get_cset(), kind.get_strpad())
    return (str(kind.dtype),)


# ---- the writer ----


def test_the_same_arguments_give_the_same_bytes_whole_or_in_blocks(tmp_path):
    counts = make_small_counts(4, 10_000)
    blocks = (counts[:, first : first + 777] for first in range(0, 10_000, 777))
    for name, values in (("a.h5", counts), ("b.h5", blocks), ("c.h5", counts + 1)):
        write_mcs(tmp_path / name, Stream(values, FOUR["labels"], tick_us=100))
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.h5", "b.h5", "c.h5")]
    assert digests[0] == digests[1] != digests[2]


def test_a_sampling_rate_without_whole_microseconds_is_refused():
    with pytest.raises(ValueError, match="sampling_rate_hz = 30000: the file holds whole µs per sample"):
        find_tick_us(30_000)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_counts_come_back_on_their_electrode(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "a.h5"
    n = data.draw(st.integers(1, 6))
    labels = data.draw(st.permutations(RIG_ROW_ORDER))[:n]
    rows = data.draw(st.permutations(range(n)))
    limit = data.draw(st.sampled_from([2**15, 2**31]))
    samples = data.draw(st.integers(1, 5000))
    counts = np.random.default_rng(samples).integers(-limit, limit, (n, samples)).astype(np.int32)
    write_mcs_file(path, [RigRecording([Stream(counts, labels, tick_us=40, row_index=rows)])])
    source = read_one(path)
    found = read_counts(path, source)
    assert found.dtype == (np.int16 if limit == 2**15 else np.int32) or samples * n < 100
    assert sorted(zip(source.row, source.col)) == list(zip(source.row, source.col))
    for name, channel in zip(source.names, found):
        assert np.array_equal(channel, counts[rows[labels.index(name)]])


# ---- what a file may look like ----


def test_a_late_large_count_gives_int32(tmp_path):
    counts = np.zeros((2, 5000), np.int32)
    counts[1, 4999] = -32769
    write_mcs(tmp_path / "a.h5", Stream(counts, ["A4", "M9"], tick_us=40))
    found = read_counts(tmp_path / "a.h5", read_one(tmp_path / "a.h5"))
    assert found.dtype == np.int32
    assert np.array_equal(found, counts)


def test_rates_and_recordings_stand_side_by_side(tmp_path):
    streams = [
        Stream(make_small_counts(4, 500 * k, seed=k), FOUR["labels"], tick_us=tick) for k, tick in ((1, 40), (2, 100))
    ]
    write_mcs_file(tmp_path / "a.h5", [RigRecording([streams[0]]), RigRecording([streams[1]], timestamp_us=90_000_000)])
    first, second = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert (first.sampling_rate_hz, first.n_samples, first.duration_s) == (25_000, 500, 0.02)
    assert (second.sampling_rate_hz, second.n_samples, second.duration_s) == (10_000, 1000, 0.1)
    assert (first.start, second.start) == ("2024-01-01T12:00:00.000000", "2024-01-01T12:01:30.000000")
    order = [FOUR["labels"].index(name) for name in second.names]
    assert np.array_equal(read_counts(tmp_path / "a.h5", second), streams[1].counts[order])


def test_a_bad_recording_leaves_its_neighbour_usable(tmp_path):
    good, bad = (Stream(make_small_counts(4, 500), FOUR["labels"], tick_us=tick) for tick in (40, 0))
    write_mcs_file(tmp_path / "a.h5", [RigRecording([bad]), RigRecording([good])])
    error, source = read_raw_recordings(tmp_path / "a.h5", "raw")
    assert isinstance(error, BadRecording)
    assert re.search("Recording_0/AnalogStream/Stream_0: tick 0 µs", str(error))
    assert read_counts(tmp_path / "a.h5", source).shape == (4, 500)


def test_ten_recordings_come_in_the_order_of_their_numbers(tmp_path):
    streams = [[Stream(make_small_counts(1, 10 + k), ["A4"], tick_us=40)] for k in range(11)]
    write_mcs_file(tmp_path / "a.h5", [RigRecording(stream) for stream in streams])
    assert [source.n_samples for source in read_raw_recordings(tmp_path / "a.h5", "raw")] == list(range(10, 21))


def test_a_pause_is_kept_and_told(tmp_path):
    segments = [[100_000, 0, 1999], [180_000, 2000, 2999], [5_000_000, 3000, 4999]]
    write_small_mcs(tmp_path / "a.h5", **FOUR, segments=segments)
    source = read_one(tmp_path / "a.h5")
    assert source.segments.tolist() == segments and source.pauses.tolist() == [3000]
    assert source.notes == ("pause of 4.78 s before sample 3000",)
    assert source.n_samples == 5000


def test_streams_are_told_apart_without_labels(tmp_path):
    counts = make_small_counts(4, 500)
    common = {"labels": FOUR["labels"], "tick_us": 40, "label": ""}
    digital = Stream(counts[:1], ["1"], 40, unit="NoUnit", conversion_factor=0, label="", subtype="Digital")
    streams = [digital, Stream(counts // 2, **common, source=2), Stream(counts, **common)]
    write_mcs_file(tmp_path / "a.h5", [RigRecording(streams)])
    assert read_one(tmp_path / "a.h5", "raw").stream == "Stream_2"
    assert read_one(tmp_path / "a.h5", "filtered").stream == "Stream_1"


def test_of_several_raw_streams_the_one_with_most_channels_is_taken_and_said(tmp_path):
    counts = make_small_counts(4, 500)
    streams = [Stream(counts[:n], FOUR["labels"][:n], 40, label=f"raw {n}") for n in (2, 4, 3)]
    write_mcs_file(tmp_path / "a.h5", [RigRecording(streams)])
    source = read_one(tmp_path / "a.h5")
    assert source.stream == "raw 4"
    assert source.notes == (
        "several raw electrode streams: Stream_1 'raw 4' taken (most channels), not Stream_0 'raw 2', Stream_2 'raw 3'",
    )


def test_a_stream_of_another_kind_is_not_taken_whatever_its_channels(tmp_path):
    counts = make_small_counts(4, 500)
    streams = [Stream(counts[:n], FOUR["labels"][:n], 40, kind=kind) for n, kind in ((4, "Segment"), (2, "Analog"))]
    write_mcs_file(tmp_path / "a.h5", [RigRecording(streams)])
    assert len(read_one(tmp_path / "a.h5").names) == 2


def test_a_stream_without_samples_is_taken_only_where_there_is_no_other(tmp_path):
    counts = make_small_counts(4, 500)
    streams = [Stream(counts[:, :0], FOUR["labels"], 40), Stream(counts[:2], FOUR["labels"][:2], 40)]
    write_mcs_file(tmp_path / "a.h5", [RigRecording(streams)])
    assert len(read_one(tmp_path / "a.h5").names) == 2


def test_missing_stream_attributes_are_made_up_for_by_the_label(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR, filtered=True)
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        del h5.attrs["McsHdf5ProtocolType"], h5["Data"].attrs["MeaSN"]
        for name in ("StreamType", "SourceStreamGUID", "StreamInfoVersion"):
            for number in (0, 1):
                del h5[f"Data/Recording_0/AnalogStream/Stream_{number}"].attrs[name]
        del h5["Data/Recording_0/AnalogStream/Stream_1"].attrs["DataSubType"]
    assert read_one(tmp_path / "a.h5", "raw").stream == "Data Acquisition (1) Electrode Raw Data"
    assert read_one(tmp_path / "a.h5", "filtered").stream == "Filter (1) Filter Data"


def test_60_electrodes_with_a_reference(tmp_path):
    counts = write_small_mcs(tmp_path / "a.h5", labels=["21", "Ref", "12"], layout="60MEA200/30iR-Ti", n_samples=500)
    source = read_one(tmp_path / "a.h5")
    assert (source.layout, source.rows, source.cols) == ("60MEA", 8, 8)
    assert list(zip(source.names, source.row, source.col)) == [("21", 0, 1), ("12", 1, 0)]
    assert (source.x_um.tolist(), source.y_um.tolist()) == ([200, 0], [0, 200])
    assert source.notes == ("reference left out: Ref",)
    assert np.array_equal(read_counts(tmp_path / "a.h5", source), counts[[0, 2]])


def test_without_labels_the_rows_are_the_rigs_whatever_the_channels_order(tmp_path):
    rows = np.random.default_rng(0).permutation(120)
    write_small_mcs(tmp_path / "a.h5", n_samples=500, labels=[""] * 120, row_index=rows)
    source = read_one(tmp_path / "a.h5")
    assert [RIG_ROW_ORDER[row] for row in source.source_row] == list(source.names)
    assert "rows are taken to be in the 120-electrode rig's order" in source.notes[0]


def test_a_missing_date_is_told(tmp_path):
    write_small_mcs(tmp_path / "a.h5", **FOUR)
    with h5py.File(tmp_path / "a.h5", "r+") as h5:
        del h5["Data"].attrs["DateInTicks"]
    source = read_one(tmp_path / "a.h5")
    assert (source.start, source.notes) == ("", ("no usable date (DateInTicks) in the file",))


# ---- the beginning only, and which stream it is of ----


@pytest.mark.parametrize("stop", [0, 1, 2048, 3000, 9999, 10_000, 50_000])
@pytest.mark.parametrize("large", [False, True])
def test_the_first_samples_are_the_first_of_all(tmp_path, stop, large):
    path = tmp_path / "a.h5"
    counts = make_small_counts(4, 10_000)
    counts[2, 9000] = 2**20 if large else 0
    write_mcs(path, Stream(counts, FOUR["labels"], tick_us=100))
    source = read_one(path)
    found = read_counts(path, source, last=stop)
    assert np.array_equal(found, read_counts(path, source)[:, :stop])
    assert found.dtype == (np.int32 if large and stop > 9000 else np.int16)


def test_what_is_read_is_explained_for_each_recording(tmp_path):
    counts = make_small_counts(4, 500)
    raw, filtered = Stream(counts, FOUR["labels"], 40), Stream(counts, FOUR["labels"], 40, source=0, label="Filtered")
    write_mcs_file(tmp_path / "a.h5", [RigRecording([raw, filtered]), RigRecording([raw])])
    both, one = explain_streams(tmp_path / "a.h5", read_raw_recordings(tmp_path / "a.h5", "raw"), "raw")
    name = "'Data Acquisition (1) Electrode Raw Data'"
    only = (
        f"{name} with 4 channels is read, the only electrode stream straight from the rig (h5.stream: raw); not read: "
    )
    assert both == f"{only}'Filtered' (Electrode, 4 channels)"
    assert one == f"{only}nothing"
    sources = read_raw_recordings(tmp_path / "a.h5", "filtered")
    derived, none = explain_streams(tmp_path / "a.h5", sources, "filtered")
    assert derived.startswith(
        "'Filtered' with 4 channels is read, the only electrode stream derived from another stream"
    )
    assert none == ""  # what is wrong with it, read_raw_recordings says
    assert isinstance(read_raw_recordings(tmp_path / "a.h5", "filtered")[1], BadRecording)
