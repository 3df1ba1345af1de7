"""Files of MaxOne and MaxTwo: against neo where neo reads them, and against what the tests wrote."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.high_density import LSB_V, add_maxwell, list_spikes, map_electrodes, write_maxwell_2016
from neo.rawio import MaxwellRawIO

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.formats.blocks import round_rate
from mea.recordings.formats.maxwell import find_pauses
from mea.recordings.identities import name_recordings
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

RANDOM = np.random.default_rng(0)
NONE = np.zeros((0, 0))


def make_counts(channels: int, samples: int = 3000) -> np.ndarray:
    return RANDOM.integers(400, 620, (channels, samples))


def read_one(path: Path, stream: str = "raw") -> RawRecording:
    (source,) = read_raw_recordings(path, stream)
    if isinstance(source, BadRecording):
        raise source
    return source


@pytest.mark.parametrize("storage", [{}, {"chunks": (1, 700)}, {"chunks": (5, 100), "compression": "gzip"}])
def test_the_later_layout_gives_neos_voltages_and_the_routed_electrodes_in_their_places(tmp_path, storage):
    electrodes = [26_399, 0, 221, 440, 5_000]
    counts = make_counts(5)
    add_maxwell(tmp_path / "a.raw.h5", counts, map_electrodes([7, 3, 900, 1, 4], electrodes), **storage)
    source = read_one(tmp_path / "a.raw.h5")
    own = read_counts(tmp_path / "a.raw.h5", source)
    rawio = MaxwellRawIO(str(tmp_path / "a.raw.h5"))
    rawio.parse_header()
    chunk = rawio.get_analogsignal_chunk(stream_index=0)
    names = rawio.header["signal_channels"]["name"].tolist()
    assert source.names.tolist() == ["0", "221", "440", "5000", "26399"]
    for place, name in enumerate(source.names):
        (column,) = (k for k, text in enumerate(names) if text.endswith(f"elec{name}"))
        assert np.array_equal(own[place], chunk[:, column])
        row, col = divmod(int(name), 220)
        assert (source.row[place], source.col[place]) == (row, col)
        assert (source.x_um[place], source.y_um[place]) == (col * 17.5, row * 17.5)
    assert (source.rows, source.cols, source.sampling_rate_hz, source.n_samples) == (120, 220, 20_000, 3000)
    assert source.gain_v.tolist() == [LSB_V] * 5
    assert rawio.header["signal_channels"]["gain"].tolist() == pytest.approx([LSB_V * 1e6] * 5)
    assert source.start == "2023-11-14T22:13:20.000000"
    assert np.array_equal(read_counts(tmp_path / "a.raw.h5", source, 100, 250), own[:, 100:250])


def test_zero_volts_are_the_median_of_the_first_second(tmp_path):
    counts = np.full((2, 30_000), 512)
    counts[1] = 480
    counts[:, 20_000:] = 1000  # after the first second
    add_maxwell(tmp_path / "a.h5", counts, map_electrodes([0, 1], [5, 3]))
    source = read_one(tmp_path / "a.h5")
    assert dict(zip(source.names, source.adc_zero.tolist())) == {"3": 480, "5": 512}
    assert any("median" in note for note in source.notes)


def test_the_layout_of_2016_takes_the_row_of_each_channel(tmp_path):
    counts = make_counts(8)
    write_maxwell_2016(tmp_path / "a.h5", counts, map_electrodes([6, 2, -1, 5], [10, 20, 30, -1]))
    source = read_one(tmp_path / "a.h5")
    assert source.names.tolist() == ["10", "20"]
    assert np.array_equal(read_counts(tmp_path / "a.h5", source), counts[[6, 2]])
    assert source.sampling_rate_hz == 20_000


def test_gain_gives_volts_where_lsb_does_not_and_nothing_is_guessed(tmp_path):
    write_maxwell_2016(tmp_path / "a.h5", make_counts(1), map_electrodes([0], [1]))
    with h5py.File(tmp_path / "a.h5", "a") as h5:
        del h5["settings/lsb"]
    with pytest.raises(BadRecording, match=r"a\.h5.*neither lsb nor gain"):
        read_one(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as h5:
        h5["settings/gain"] = np.array([1024.0])
    rawio = MaxwellRawIO(str(tmp_path / "a.h5"))
    rawio.parse_header()
    assert read_one(tmp_path / "a.h5").gain_v[0] * 1e6 == pytest.approx(rawio.header["signal_channels"]["gain"][0])


def test_wells_are_recordings_and_those_of_a_row_may_have_other_numbers(tmp_path):
    for well, rec in ((0, 0), (0, 1), (7, 0)):
        add_maxwell(tmp_path / "p.h5", make_counts(2), map_electrodes([0, 1], [well, 9]), well=well, rec=rec)
    sources = read_raw_recordings(tmp_path / "p.h5", "raw")
    assert [source.well for source in sources] == ["A1", "A1", "B2"]  # 24 wells: number 7 is on no plate of 6
    assert name_recordings("p", sources) == ["p_A1", "p_A1#2", "p_B2"]
    assert {source.plate for source in sources} == {"p"}


def test_one_bad_well_leaves_the_others(tmp_path):
    add_maxwell(tmp_path / "p.h5", make_counts(2), map_electrodes([0, 1], [4, 4]), well=0)
    add_maxwell(tmp_path / "p.h5", make_counts(2), map_electrodes([0, 1], [4, 5]), well=1)
    bad, good = read_raw_recordings(tmp_path / "p.h5", "raw")
    assert isinstance(bad, BadRecording) and "two channels on electrode 4" in str(bad)
    assert good.well == "A2"


def test_spikes_alone_are_read_with_every_routed_electrode(tmp_path):
    spikes = list_spikes([1000, 1100, 3000, 2500], [7, 3, 7, 99])
    add_maxwell(tmp_path / "a.h5", NONE, map_electrodes([7, 3, 5], [40, 30, 50]), spikes=spikes)
    source = read_one(tmp_path / "a.h5")
    assert source.names.tolist() == ["30", "40", "50"]
    assert source.spike_electrode.tolist() == [0, 1, 1]
    assert source.spike_times_s.tolist() == pytest.approx([0.005, 0.0, 0.1])
    assert any("1 spikes of channels without an electrode" in note for note in source.notes)
    assert any("first to the last spike" in note for note in source.notes)


def test_spikes_beside_voltages_are_read_when_asked_for_and_begin_with_the_first_frame(tmp_path):
    spikes = list_spikes([50_100, 50_200], [1, 0])
    frames = np.arange(50_000, 53_000)
    mapping = map_electrodes([0, 1], [1, 2])
    add_maxwell(tmp_path / "a.h5", make_counts(2), mapping, spikes=spikes, frames=frames)
    assert read_one(tmp_path / "a.h5").n_samples == 3000
    source = read_one(tmp_path / "a.h5", "spikes")
    assert source.spike_times_s.tolist() == pytest.approx([0.01, 0.005])
    assert source.duration_s == pytest.approx(0.15)
    write_maxwell_2016(tmp_path / "b.h5", make_counts(2), mapping)
    with pytest.raises(BadRecording, match="no spikes"):
        read_one(tmp_path / "b.h5", "spikes")


def test_missing_frames_are_pauses(tmp_path, monkeypatch):
    frames = np.concatenate([np.arange(10, 1010), np.arange(2000, 3000), np.arange(3001, 4001)])
    add_maxwell(tmp_path / "a.h5", make_counts(1), map_electrodes([0], [1]), frames=frames)
    assert read_one(tmp_path / "a.h5").pauses.tolist() == [1000, 2000]
    monkeypatch.setattr("mea.recordings.formats.maxwell.FRAMES_AT_ONCE", 500)  # borders of blocks fall on the pauses
    with h5py.File(tmp_path / "a.h5") as h5:
        assert find_pauses(h5["wells/well000/rec0000/groups/routed/frame_nos"], 3000, "").tolist() == [1000, 2000]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda group: group["settings/mapping"].__setitem__(slice(None), map_electrodes([0, 1], [5, 26_400])),
            "beyond",
        ),
        (lambda group: group.__delitem__("settings/sampling"), "no dataset 'sampling'"),
        (lambda group: group["settings/sampling"].__setitem__(0, np.nan), "sampling is"),
        (lambda group: group["settings/lsb"].__setitem__(0, -1), "lsb is"),
        (lambda group: group.__delitem__("settings"), "no group 'settings'"),
        (
            lambda group: group["settings/mapping"].__setitem__(slice(None), map_electrodes([-1, -1], [5, 6])),
            "no electrode",
        ),
        (lambda group: group.__delitem__("groups"), "no voltages"),
        (lambda group: group.create_dataset("groups/routed/channels", data=[0, 7]), "channel 1 is routed"),
        (lambda group: group.create_dataset("groups/routed/frame_nos", data=[0, 7]), "frame numbers"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, change, message):
    add_maxwell(tmp_path / "a.h5", make_counts(2), map_electrodes([0, 1], [5, 6]))
    with h5py.File(tmp_path / "a.h5", "a") as h5:
        change(h5["wells/well000/rec0000"])
    with pytest.raises(BadRecording, match=rf"a\.h5.*{message}"):
        read_one(tmp_path / "a.h5")


def test_an_electrode_in_another_place_than_its_number_says_is_refused(tmp_path):
    mapping = map_electrodes([0, 1], [5, 6])
    mapping["x"][1] += 35
    add_maxwell(tmp_path / "a.h5", make_counts(2), mapping)
    with pytest.raises(BadRecording, match="electrode 6 is said to stand at x = 140"):
        read_one(tmp_path / "a.h5")


def test_voltages_packed_by_the_makers_filter_are_named_with_what_to_do(tmp_path):
    counts = make_counts(2)
    add_maxwell(tmp_path / "a.h5", NONE, map_electrodes([0, 1], [5, 6]), spikes=list_spikes([1, 2, 9], [0, 1, 0]))
    with h5py.File(tmp_path / "a.h5", "a") as h5:
        packed = h5.create_group("wells/well000/rec0000/groups/routed")
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((2, 3000))
        properties.set_filter(32_101, h5py.h5z.FLAG_OPTIONAL)  # a number that no filter here has
        space = h5py.h5s.create_simple((2, 3000))
        dataset = h5py.h5d.create(packed.id, b"raw", h5py.h5t.STD_U16LE, space, properties)
        dataset.write_direct_chunk((0, 0), counts.astype("<u2").tobytes())
    with pytest.raises(BadRecording, match=r"HDF5_PLUGIN_PATH.*h5\.stream: spikes"):
        read_one(tmp_path / "a.h5")
    assert len(read_one(tmp_path / "a.h5", "spikes").spike_times_s) == 3


def test_a_rate_that_is_no_whole_number_is_said():
    assert round_rate(17_855.5)[1]
    assert round_rate(20_000) == (20_000, [])
