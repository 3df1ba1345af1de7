"""What an open row draws: spikes, traces and electrodes are those of the files."""

import base64

import h5py
import numpy as np
import pytest
from builders.arrays import make_events

from mea.arrays.events_file import load_events
from mea.recordings.recording import read_recording
from mea.report.details import MOST_SPIKES, Places, draw_traces, limit_each, name_electrodes, pack, pick_spikes, to_list
from mea.report.results import read_detection


def unpack(packed):
    return np.frombuffer(base64.b64decode(packed["base64"]), np.dtype(packed["kind"]).newbyteorder("<"))


def test_spikes_are_picked_evenly_and_keep_their_place():
    events = make_events(spikes_per_s=5, duration_s=4)
    drawn = pick_spikes(events, 100)
    times = unpack(drawn["times"]) / drawn["ticks"] * events.duration_s
    electrodes = unpack(drawn["electrodes"])
    assert drawn["drawn"] == 100 and drawn["spikes"] == len(events)
    picked = np.linspace(0, len(events) - 1, 100).round().astype(int)
    np.testing.assert_allclose(times, events.spike_times_s[picked], atol=events.duration_s / drawn["ticks"])
    np.testing.assert_array_equal(electrodes, events.electrode[picked])
    assert pick_spikes(events, 10**6)["drawn"] == len(events)


def test_many_recordings_share_what_a_page_can_hold():
    assert limit_each(MOST_SPIKES, 370) * 370 <= MOST_SPIKES < (limit_each(MOST_SPIKES, 370) + 1) * 370
    assert limit_each(MOST_SPIKES, 10**7) == limit_each(MOST_SPIKES, 100), "beside the page"


def draw_small(folder, most_samples):
    """The traces of the hostile_lab's first recording."""
    name = sorted(path.stem for path in (folder / "data/h5").glob("*.h5"))[0]
    array = folder / "data/array"
    places = Places(folder / "data/unzip", folder / "data/h5", array, read_detection(array), 10, most_samples)
    recording, events = read_recording(folder / f"data/h5/{name}.h5"), load_events(array / f"{name}.npz")
    return recording, events, draw_traces(recording, events, places)


def list_samples(line, n_samples):
    """A line of a trace at every sample, as it is drawn."""
    samples, values = unpack(line["samples"]), unpack(line["tenths_uv"]) / 10
    return np.interp(np.arange(n_samples), samples, values)


def test_traces_are_the_files_samples_and_the_arrays(hostile_lab):
    """Before: counts of the vendor's file, which h5py reads here; after: the cleaned array."""
    recording, events, traces = draw_small(hostile_lab, 10**6)
    names = recording.source.names.tolist()
    with h5py.File(hostile_lab / "data/unzip" / recording.file) as file:
        group = file["Data/Recording_0/AnalogStream/Stream_0"]
        info = group["InfoChannel"][:]
        labels = [label.decode().strip() for label in info["Label"]]
        counts = group["ChannelData"][:]
    assert len(traces) == 2
    for trace in traces:
        electrode = names.index(trace["name"].removeprefix("electrode "))
        channel = labels.index(names[electrode])
        first, peaks = round(trace["start_s"] * events.sampling_rate_hz), unpack(trace["peaks"])
        part = slice(first, first + events.sampling_rate_hz // 4)
        scale = float(info["ConversionFactor"][channel]) * 10.0 ** int(info["Exponent"][channel])
        raw = (counts[info["RowIndex"][channel], part] - float(info["ADZero"][channel])) * scale * 1e6
        np.testing.assert_allclose(list_samples(trace["before"], len(raw)), raw, atol=0.051)
        whole = events.dense(part.start, part.stop)[events.row[electrode], events.col[electrode]]
        np.testing.assert_allclose(list_samples(trace["after"], len(raw)), whole, atol=0.051)
        assert len(peaks) and (abs(raw[peaks]) >= trace["threshold_uv"]).all()
        assert all(set(peaks) <= set(unpack(trace[side]["samples"])) for side in ("before", "after"))


def test_where_there_are_many_recordings_no_extreme_is_lost(hostile_lab):
    _, events, traces = draw_small(hostile_lab, 400)
    for trace, whole in zip(traces, draw_small(hostile_lab, 10**6)[2]):
        every, some = (unpack(line["tenths_uv"]) for line in (whole["before"], trace["before"]))
        assert len(some) < 500 < len(every) == events.sampling_rate_hz // 4
        assert (some.min(), some.max()) == (every.min(), every.max())


def test_spike_times_have_no_traces(hostile_lab):
    recording, _, _ = draw_small(hostile_lab, 400)
    assert draw_traces(recording, make_events(waveforms=False), None) == []


def test_electrodes_are_named_at_their_places(hostile_lab):
    recording, events, _ = draw_small(hostile_lab, 400)
    grid = name_electrodes(recording, events)
    assert (grid[3][0], grid[8][11], grid[0][3], grid[0][0]) == ("A4", "M9", "D1", "")


def test_what_is_no_number_is_null():
    assert to_list(np.array([1.0, np.nan, np.inf])) == [1.0, None, None]


@pytest.mark.parametrize(
    ("values", "kind"), [([], "uint16"), ([0, 65_535], "uint16"), ([-1, 256], "int16"), ([-1, 65_535], "int32")]
)
def test_whole_numbers_travel_in_the_smallest_type(values, kind):
    packed = pack(np.array(values, np.int64))
    assert packed["kind"] == kind and unpack(packed).tolist() == values


def test_packed_numbers_are_little_endian():
    assert pack(np.array([1, 256])) == {"kind": "uint16", "base64": "AQAAAQ=="}
