"""Files of 3Brain: voltages against neo, spikes against what the tests wrote."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from builders.high_density import write_3brain, write_3brain_old
from neo.rawio import BiocamRawIO

from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.recording import RawRecording
from mea.runtime.errors import BadRecording

RANDOM = np.random.default_rng(0)
PLACES = [(3, 2), (1, 64), (64, 1), (1, 2)]  # row and column, from 1


def read_one(path: Path, stream: str = "raw") -> RawRecording:
    (source,) = read_raw_recordings(path, stream)
    if isinstance(source, BadRecording):
        raise source
    return source


def read_neo(path: Path) -> tuple[np.ndarray, list[str]]:
    """(frames, channels) µV, and the channels' names."""
    rawio = BiocamRawIO(str(path))
    rawio.parse_header()
    chunk = rawio.get_analogsignal_chunk(stream_index=0)
    return rawio.rescale_signal_raw_to_float(chunk, "float64"), rawio.header["signal_channels"]["name"].tolist()


@pytest.mark.parametrize("version", [100, 101, 102])
@pytest.mark.parametrize("inversion", [1, -1])
def test_version_3_gives_neos_microvolts_in_the_places_of_its_channels(tmp_path, version, inversion):
    counts = RANDOM.integers(1900, 2200, (500, 4))
    write_3brain_old(tmp_path / "a.brw", places=PLACES, counts=counts, version=version, inversion=inversion)
    source = read_one(tmp_path / "a.brw")
    own_uv = (read_counts(tmp_path / "a.brw", source) - source.adc_zero[:, None]) * source.gain_v[:, None] * 1e6
    theirs_uv, names = read_neo(tmp_path / "a.brw")
    assert source.names.tolist() == ["1-2", "1-64", "3-2", "64-1"]
    for place, name in enumerate(source.names):
        assert own_uv[place] == pytest.approx(theirs_uv[:, names.index(f"ch{name}")])
    assert list(zip(source.row + 1, source.col + 1)) == sorted(PLACES)
    assert (source.rows, source.cols, source.n_samples, source.sampling_rate_hz) == (64, 64, 500, 17_856)
    assert any("17855.5" in note for note in source.notes)
    part = read_counts(tmp_path / "a.brw", source, 100, 200)
    assert np.array_equal(part, read_counts(tmp_path / "a.brw", source)[:, 100:200])


@pytest.mark.parametrize("name", ["ExperimentSettings", "ExperimentInfo"])
def test_version_4_gives_neos_microvolts(tmp_path, name):
    counts = RANDOM.integers(1900, 2200, (50, 1024)).astype(np.uint16)
    well = {"StoredChIdxs": np.arange(1024), "Raw": counts.ravel()}
    write_3brain(tmp_path / "a.brw", {"Well_A1": well}, toc=[(0, 50)], name=name)
    source = read_one(tmp_path / "a.brw")
    own_uv = (read_counts(tmp_path / "a.brw", source) - source.adc_zero[:, None]) * source.gain_v[:, None] * 1e6
    theirs_uv, names = read_neo(tmp_path / "a.brw")
    assert own_uv == pytest.approx(theirs_uv[:, [names.index(f"ch{one}") for one in source.names]].T)
    assert (source.rows, source.cols, source.well, source.sampling_rate_hz) == (32, 32, "", 20_000)


def test_some_channels_of_a_chip_keep_their_places_and_pieces_are_pauses(tmp_path):
    stored = np.array([4095, 64, 1])
    counts = RANDOM.integers(1900, 2200, (60, 3)).astype(np.uint16)
    well = {"StoredChIdxs": stored, "Raw": counts.ravel()}
    write_3brain(tmp_path / "a.brw", {"Well_A1": well}, toc=[(0, 20), (20, 30), (100, 130)])
    source = read_one(tmp_path / "a.brw")
    assert source.names.tolist() == ["1-2", "2-1", "64-64"]
    assert np.array_equal(read_counts(tmp_path / "a.brw", source), counts[:, [2, 1, 0]].T)
    assert source.pauses.tolist() == [30]


def test_the_size_of_an_array_is_not_guessed(tmp_path):
    well = {"StoredChIdxs": np.array([5, 9]), "Raw": np.zeros(20, np.uint16)}
    write_3brain(tmp_path / "a.brw", {"Well_A1": well}, toc=[(0, 10)])
    with pytest.raises(BadRecording, match=r"a\.brw.*32 x 32 or 64 x 64"):
        read_one(tmp_path / "a.brw")


def test_spikes_of_version_2_stand_on_their_channels(tmp_path):
    write_3brain_old(tmp_path / "a.bxr", places=PLACES, spikes=([0, 17_855, 35_711], [2, 0, 2]), n_frames=178_555)
    source = read_one(tmp_path / "a.bxr")
    assert source.names[source.spike_electrode].tolist() == ["3-2", "64-1", "64-1"]
    assert source.spike_times_s.tolist() == pytest.approx([17_855 / 17_855.5, 0, 35_711 / 17_855.5])
    assert (source.duration_s, source.n_electrodes) == (10.0, 4)


def test_spikes_of_version_2_without_a_table_of_channels_use_the_matrix(tmp_path):
    write_3brain_old(tmp_path / "a.bxr", places=PLACES, spikes=([5, 9], [1, 0]), n_frames=20)
    with h5py.File(tmp_path / "a.bxr", "a") as h5:
        del h5["3BRecInfo/3BMeaStreams"]
    with pytest.raises(BadRecording, match="says nowhere where its channels stand"):
        read_one(tmp_path / "a.bxr")
    with h5py.File(tmp_path / "a.bxr", "a") as h5:
        h5["3BResults/3BInfo/MeaChs2ChIDsMatrix"] = np.array([[-1, 0], [1, -1]])
    source = read_one(tmp_path / "a.bxr")
    assert source.names[source.spike_electrode].tolist() == ["1-2", "2-1"]


def test_spikes_of_version_3_are_those_of_each_well(tmp_path):
    whole = np.arange(1024)
    wells = {
        "Well_B2": {"StoredChIdxs": whole, "SpikeTimes": np.array([100, 300]), "SpikeChIdxs": np.array([33, 0])},
        "Well_A10": {"StoredChIdxs": whole, "SpikeTimes": np.zeros(0, int), "SpikeChIdxs": np.zeros(0, int)},
    }
    write_3brain(tmp_path / "p.bxr", wells, toc=[(100, 20_100)])
    silent, source = read_raw_recordings(tmp_path / "p.bxr", "raw")
    assert (silent.well, source.well) == ("A10", "B2")
    assert source.names[source.spike_electrode].tolist() == ["1-1", "2-2"]
    assert source.spike_times_s.tolist() == pytest.approx([0.01, 0.0])
    assert [source.duration_s, silent.duration_s] == pytest.approx([1.0, 1.0])
    assert not len(silent.spike_times_s)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h5: h5["Well_A1/SpikeChIdxs"].__setitem__(0, 2000), "channel 2000"),
        (lambda h5: h5["Well_A1/SpikeTimes"].__setitem__(0, 90_000), "outside the recording"),
        (lambda h5: h5.__delitem__("ExperimentSettings"), "neither ExperimentSettings"),
        (lambda h5: h5["ExperimentSettings"].__setitem__(0, b"{}"), "does not state rate"),
        (lambda h5: h5["ExperimentSettings"].__setitem__(0, b"[" * 100_000), "does not state rate"),
        (lambda h5: h5.__delitem__("Well_A1/StoredChIdxs"), "no dataset 'StoredChIdxs'"),
        (lambda h5: h5["Well_A1/StoredChIdxs"].__setitem__(1, 0), "a channel twice"),
        (lambda h5: h5["TOC"].__setitem__(1, (500, 1000)), "2 pieces"),
        (lambda h5: h5["TOC"].__setitem__(1, (10, 5)), "TOC"),
        (lambda h5: h5.__delitem__("Well_A1/SpikeTimes"), "no spikes"),
    ],
)
def test_what_is_missing_or_wrong_is_named(tmp_path, change, message):
    well = {"StoredChIdxs": np.arange(1024), "SpikeTimes": np.array([10, 30]), "SpikeChIdxs": np.array([3, 0])}
    write_3brain(tmp_path / "a.bxr", {"Well_A1": well}, toc=[(0, 20), (20, 1000)])
    with h5py.File(tmp_path / "a.bxr", "a") as h5:
        change(h5)
    with pytest.raises(BadRecording, match=rf"a\.bxr.*{message}"):
        read_one(tmp_path / "a.bxr")


def test_voltages_with_dropped_parts_are_named_with_what_to_export(tmp_path):
    well = {"StoredChIdxs": np.arange(1024), "EventsBasedSparseRaw": np.zeros(9, np.uint8)}
    write_3brain(tmp_path / "a.brw", {"Well_A1": well}, toc=[(0, 20)])
    with pytest.raises(BadRecording, match=r"quiet parts were dropped.*BrainWave"):
        read_one(tmp_path / "a.brw")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h5: h5["3BRecInfo/3BRecVars/SignalInversion"].__setitem__(0, 0), "SignalInversion"),
        (lambda h5: h5["3BRecInfo/3BRecVars/MaxVolt"].__setitem__(0, -9000), "no scale"),
        (lambda h5: h5["3BRecInfo/3BMeaStreams/Raw/Chs"].__setitem__(0, (65, 1)), "outside the chip"),
        (lambda h5: h5["3BRecInfo/3BMeaStreams/Raw/Chs"].__setitem__(0, (1, 2)), "two channels at row 1, column 2"),
        (lambda h5: h5.__delitem__("3BData/Raw"), "neither voltages nor spikes"),
        (lambda h5: h5.__delitem__("3BRecInfo/3BRecVars"), "no group '3BRecInfo/3BRecVars'"),
    ],
)
def test_what_is_missing_or_wrong_in_version_3_is_named(tmp_path, change, message):
    write_3brain_old(tmp_path / "a.brw", places=PLACES, counts=np.full((10, 4), 2048))
    with h5py.File(tmp_path / "a.brw", "a") as h5:
        change(h5)
    with pytest.raises(BadRecording, match=rf"a\.brw.*{message}"):
        read_one(tmp_path / "a.brw")
