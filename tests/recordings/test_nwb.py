"""NWB files, written by pynwb: voltages and units, their places, clock and scale."""

from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.ecephys import ElectricalSeries

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.layouts import Layout
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

RANDOM = np.random.default_rng(0)
GRID = [{"row": 1, "col": 0}, {"row": 0, "col": 1}, {"row": 0, "col": 0}]
POSITIONS = [{"rel_x": 0.0, "rel_y": 35.0}, {"rel_x": 17.5, "rel_y": 0.0}, {"rel_x": 0.0, "rel_y": 0.0}]


def make_file(electrodes: list[dict]) -> NWBFile:
    start = datetime(2024, 3, 5, 10, 20, 30, 250_000, tzinfo=UTC)
    nwb = NWBFile(session_description="made by a test", identifier="one", session_start_time=start)
    device = nwb.create_device(name="rig")
    group = nwb.create_electrode_group("array", description="all", location="in vitro", device=device)
    for name in sorted(set().union(*electrodes) - {"rel_x", "rel_y", "x", "y"}):
        nwb.add_electrode_column(name, "as the test says")
    for one in electrodes:
        nwb.add_electrode(location="in vitro", group=group, **one)
    return nwb


def add_series(nwb: NWBFile, counts: np.ndarray, channels: list[int], name: str = "raw", **values) -> None:
    region = nwb.create_electrode_table_region(channels, "recorded")
    clock = {} if "timestamps" in values else {"rate": 20_000.0}
    nwb.add_acquisition(ElectricalSeries(name=name, data=counts, electrodes=region, **(clock | values)))


def write(path: Path, nwb: NWBFile) -> None:
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)


def read_one(path: Path, stream: str = "raw", layouts=None) -> RawRecording:
    (source,) = read_raw_recordings(path, stream, layouts or {})
    if isinstance(source, BadRecording):
        raise source
    return source


def make_counts(channels: int = 3, samples: int = 400) -> np.ndarray:
    return RANDOM.integers(-2000, 2000, (samples, channels)).astype(np.int16)


def test_voltages_have_the_places_scale_and_clock_that_pynwb_wrote(tmp_path):
    nwb, counts = make_file(GRID), make_counts()
    add_series(nwb, counts, [2, 0, 1], conversion=2e-7, offset=1e-4, channel_conversion=[1.0, 2.0, 4.0])
    write(tmp_path / "a.nwb", nwb)
    source = read_one(tmp_path / "a.nwb")
    assert list(zip(source.row.tolist(), source.col.tolist())) == [(0, 0), (0, 1), (1, 0)]
    own = read_counts(tmp_path / "a.nwb", source)
    assert np.array_equal(own, counts[:, [0, 2, 1]].T)
    assert np.array_equal(read_counts(tmp_path / "a.nwb", source, 30, 70), own[:, 30:70])
    with NWBHDF5IO(str(tmp_path / "a.nwb"), "r") as io:
        series = io.read().acquisition["raw"]
        theirs_v = series.data[:] * series.conversion * series.channel_conversion[:] + series.offset
    own_v = (own - source.adc_zero[:, None]) * source.gain_v[:, None]
    assert own_v == pytest.approx(theirs_v[:, [0, 2, 1]].T, abs=source.gain_v.max() / 2)
    assert (source.sampling_rate_hz, source.n_samples, source.duration_s) == (20_000, 400, 0.02)
    assert source.start == "2024-03-05T10:20:30.250000"
    assert source.rig.startswith("NWB 2.")


def test_positions_make_the_grid_with_a_note(tmp_path):
    nwb = make_file(POSITIONS)
    add_series(nwb, make_counts(2), [0, 1])
    write(tmp_path / "a.nwb", nwb)
    source = read_one(tmp_path / "a.nwb")
    assert list(zip(source.row.tolist(), source.col.tolist())) == [(0, 1), (1, 0)]
    assert (source.rows, source.cols, source.x_um.tolist(), source.y_um.tolist()) == (2, 2, [17.5, 0], [0, 35])
    assert any("2 columns by x, 2 rows by y" in note for note in source.notes)


def test_labels_of_the_labs_layout_make_the_grid(tmp_path):
    nwb = make_file([{"label": "b"}, {"label": "a"}])
    add_series(nwb, make_counts(2), [0, 1])
    write(tmp_path / "a.nwb", nwb)
    with pytest.raises(BadRecording, match=r"have no places.*layouts\.csv"):
        read_one(tmp_path / "a.nwb")
    layouts = {"hex": Layout("hex", {"a": (0, 5), "b": (3, 0), "c": (9, 9)})}
    source = read_one(tmp_path / "a.nwb", layouts=layouts)
    assert (source.names.tolist(), source.layout, source.rows, source.cols) == (["a", "b"], "hex", 10, 10)
    assert list(zip(source.row.tolist(), source.col.tolist())) == [(0, 5), (3, 0)]


def test_positions_that_are_no_grid_are_refused(tmp_path):
    places = RANDOM.uniform(0, 1000, (40, 2))
    nwb = make_file([{"rel_x": x, "rel_y": y} for x, y in places])
    add_series(nwb, make_counts(40), list(range(40)))
    write(tmp_path / "a.nwb", nwb)
    with pytest.raises(BadRecording, match="no places"):
        read_one(tmp_path / "a.nwb")


def test_time_stamps_give_rate_and_pauses(tmp_path):
    stamps = np.arange(400) / 12_500
    stamps[150:] += 0.5
    nwb = make_file(GRID)
    add_series(nwb, make_counts(), [0, 1, 2], timestamps=stamps)
    write(tmp_path / "a.nwb", nwb)
    source = read_one(tmp_path / "a.nwb")
    assert (source.sampling_rate_hz, source.pauses.tolist()) == (12_500, [150])
    assert any("pause of 0.5 s before sample 150" in note for note in source.notes)


def test_of_several_series_the_one_with_most_channels_is_read_with_a_note(tmp_path):
    nwb, counts = make_file(GRID), make_counts()
    add_series(nwb, make_counts(1), [1], name="few")
    add_series(nwb, counts, [0, 1, 2], name="many")
    module = nwb.create_processing_module("ecephys", "filtered")
    region = nwb.create_electrode_table_region([0], "recorded")
    module.add(ElectricalSeries(name="filtered", data=make_counts(1), electrodes=region, rate=1000.0))
    write(tmp_path / "a.nwb", nwb)
    source = read_one(tmp_path / "a.nwb")
    assert source.stream == "many" and "several ElectricalSeries" in source.notes[0]
    assert read_one(tmp_path / "a.nwb", "filtered").sampling_rate_hz == 1000


def add_units(nwb: NWBFile, trains: dict[int, list[float]], intervals=((2.0, 12.0),)) -> None:
    for electrode, times in trains.items():
        observed = {"obs_intervals": list(intervals)} if intervals else {}
        nwb.add_unit(spike_times=times, electrodes=[electrode], **observed)


def test_units_are_spikes_of_their_electrodes_and_silent_ones_are_listed(tmp_path):
    nwb = make_file(GRID)
    add_units(nwb, {0: [3.0, 5.5], 2: [2.5], 1: []})
    write(tmp_path / "a.nwb", nwb)
    source = read_one(tmp_path / "a.nwb")
    assert (source.n_electrodes, source.duration_s) == (3, 10.0)
    assert source.spike_electrode.tolist() == [0, 2, 2]  # row 0, col 0 is the table's third
    assert source.spike_times_s.tolist() == [0.5, 1.0, 3.5]


def test_units_without_intervals_last_from_the_first_to_the_last_spike(tmp_path):
    nwb = make_file(GRID)
    add_units(nwb, {0: [3.0, 5.5], 2: [2.5]}, intervals=())
    write(tmp_path / "a.nwb", nwb)
    source = read_one(tmp_path / "a.nwb")
    assert source.duration_s == 3.0 and any("first to the last spike" in note for note in source.notes)


def test_units_beside_voltages_are_read_when_asked_for(tmp_path):
    nwb = make_file(GRID)
    add_series(nwb, make_counts(), [0, 1, 2])
    add_units(nwb, {0: [3.0, 5.5]})
    write(tmp_path / "a.nwb", nwb)
    assert read_one(tmp_path / "a.nwb").n_samples == 400
    assert len(read_one(tmp_path / "a.nwb", "spikes").spike_times_s) == 2


@pytest.mark.parametrize(
    ("intervals", "trains", "message"),
    [
        (((2.0, 4.0), (5.0, 12.0)), {0: [3.0]}, "2 intervals"),
        (((2.0, 4.0),), {0: [30.0]}, "1 spikes lie outside"),
        (((2.0, 4.0),), {0: [float("nan")]}, "1 spikes lie outside"),
    ],
)
def test_units_that_contradict_their_intervals_are_refused(tmp_path, intervals, trains, message):
    nwb = make_file(GRID)
    add_units(nwb, trains, intervals)
    write(tmp_path / "a.nwb", nwb)
    with pytest.raises(BadRecording, match=rf"a\.nwb.*{message}"):
        read_one(tmp_path / "a.nwb")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h5: h5["acquisition/raw"].__delitem__("electrodes"), "no dataset 'electrodes'"),
        (lambda h5: h5["acquisition/raw/electrodes"].__setitem__(0, 9), "not among the 3"),
        (lambda h5: h5["acquisition/raw/electrodes"].__setitem__(0, 1), "two electrodes at one place"),
        (lambda h5: h5["acquisition/raw/starting_time"].attrs.__setitem__("rate", 0.0), "0 samples per second"),
        (lambda h5: h5["acquisition/raw"].__delitem__("starting_time"), "neither a rate nor"),
        (lambda h5: h5["acquisition/raw/data"].attrs.__setitem__("conversion", -1.0), "must be above 0"),
        (lambda h5: h5.__delitem__("acquisition/raw"), "neither voltages .* nor spikes"),
        (lambda h5: h5["general/extracellular_ephys"].__delitem__("electrodes"), "no table of electrodes"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, change, message):
    nwb = make_file(GRID)
    add_series(nwb, make_counts(), [0, 1, 2])
    write(tmp_path / "a.nwb", nwb)
    with h5py.File(tmp_path / "a.nwb", "a") as h5:
        change(h5)
    with pytest.raises(BadRecording, match=rf"a\.nwb.*{message}"):
        read_one(tmp_path / "a.nwb")


def test_numbers_with_a_decimal_point_are_refused_with_what_to_do(tmp_path):
    nwb = make_file(GRID)
    add_series(nwb, make_counts().astype(np.float32), [0, 1, 2])
    write(tmp_path / "a.nwb", nwb)
    with pytest.raises(BadRecording, match="must be integers"):
        read_one(tmp_path / "a.nwb")
