"""mea export: what other programs read is what the array holds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders.recordings import write_small_mcs, write_small_spike_times
from neo.io import NWBIO
from pynwb import NWBHDF5IO, validate

from mea.arrays.detection import SpikeDetection, read_events
from mea.arrays.events_file import load_events, save_events
from mea.arrays.export import main
from mea.recordings.formats import read_counts, read_raw_recordings
from mea.recordings.recording import Recording, read_recording, write_recording
from mea.runtime.files import hash_file

DETECTION = SpikeDetection(sampling_rate_hz=25_000, other_sampling_rate="set_aside", threshold=5.0)


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("MEA_QUIET", "1")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Two recordings, one of voltages and one of spike times, as the stages h5 and array leave them."""
    for folder in ("data/unzip", "data/h5", "data/array"):
        (tmp_path / folder).mkdir(parents=True)
    write_small_mcs(tmp_path / "data/unzip/one.h5")
    write_small_spike_times(tmp_path / "data/unzip/two.h5")
    lines = ["recording,label,culture,batch", "one,control,one_c,b 1", "two,µM,two_c,b 1"]
    (tmp_path / "data/array/catalogue.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name in ("one", "two"):
        file = tmp_path / f"data/unzip/{name}.h5"
        source = read_raw_recordings(file, "raw")[0]
        recording = Recording(name, f"{name}.h5", hash_file(file), source)
        write_recording(tmp_path / f"data/h5/{name}.h5", recording)
        save_events(tmp_path / f"data/array/{name}.npz", read_events(file, recording, DETECTION))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def list_trains(events) -> list[np.ndarray]:
    return [np.sort(events.spike_times_s[events.electrode == number]) for number in range(events.n_electrodes)]


def fail(*arguments: str) -> str:
    with pytest.raises(SystemExit) as error:
        main(list(arguments))
    return str(error.value)


def test_nwb_is_valid_and_neo_reads_the_same_spikes(project):
    main(["--to", "nwb", "--out", "out"])
    for name in ("one", "two"):
        path = project / "out" / f"{name}.nwb"
        assert not validate(path=str(path))
        events = load_events(project / f"data/array/{name}.npz")
        reader = NWBIO(str(path), "r")
        (block,) = reader.read_all_blocks()
        theirs = [np.asarray(train.rescale("s")) for segment in block.segments for train in segment.spiketrains]
        own = list_trains(events)
        assert len(theirs) == len(own) == events.n_electrodes
        assert all(np.array_equal(one, other) for one, other in zip(own, theirs))
        reader.close()  # neo leaves it to the collector, which warns in whichever test runs then


def test_nwb_says_who_the_recording_is_and_where_its_electrodes_stand(project):
    main(["two", "--to", "nwb", "--out", "out"])
    assert not (project / "out" / "one.nwb").exists()
    source = read_recording(project / "data/h5/two.h5").source
    with NWBHDF5IO(str(project / "out/two.nwb"), "r") as io:
        nwb = io.read()
        assert nwb.identifier == "two"
        assert "class: µM; culture: two_c; batch: b 1." in nwb.session_description
        table = nwb.electrodes.to_dataframe()
    assert table["row"].tolist() == source.row.tolist() and table["label"].tolist() == source.names.tolist()
    assert table["rel_x"].tolist() == source.x_um.tolist()


def test_our_own_reader_reads_back_what_was_exported(project):
    main(["--to", "nwb", "--out", "out", "one", "--voltages"])
    first = read_recording(project / "data/h5/one.h5").source
    (again,) = read_raw_recordings(project / "out/one.nwb", "raw")
    assert np.array_equal(
        read_counts(project / "out/one.nwb", again), read_counts(project / "data/unzip/one.h5", first)
    )
    for name in ("row", "col", "x_um", "y_um", "gain_v", "adc_zero"):
        assert getattr(again, name) == pytest.approx(getattr(first, name))
    assert again.names.tolist() == first.names.tolist()
    assert (again.sampling_rate_hz, again.start) == (first.sampling_rate_hz, first.start)
    events = load_events(project / "data/array/one.npz")
    (spikes,) = read_raw_recordings(project / "out/one.nwb", "spikes")
    own = [np.sort(spikes.spike_times_s[spikes.spike_electrode == k]) for k in range(spikes.n_electrodes)]
    assert all(np.array_equal(one, other) for one, other in zip(own, list_trains(events)))
    assert spikes.duration_s == events.duration_s


def test_parquet_holds_every_spike_of_every_recording(project):
    main(["--to", "parquet", "--out", "out"])
    table = pd.read_parquet(project / "out" / "spikes.parquet")
    assert list(table.columns) == ["recording", "label", "culture", "batch", "row", "col", "time_s"]
    for name, label in (("one", "control"), ("two", "µM")):
        events, own = load_events(project / f"data/array/{name}.npz"), table[table["recording"] == name]
        assert len(own) == len(events) and own["time_s"].is_monotonic_increasing
        places = events.row[events.electrode], events.col[events.electrode], events.spike_times_s
        wanted = sorted(zip(*(one.tolist() for one in places)))
        assert sorted(zip(own["row"], own["col"], own["time_s"])) == wanted
        assert set(own["label"]) == {label} and set(own["batch"]) == {"b 1"}


def test_what_cannot_be_exported_is_said(project):
    assert "holds no recording 'three'" in fail("three", "--to", "nwb", "--out", "out")
    assert "--voltages goes with --to nwb" in fail("--to", "parquet", "--out", "out", "--voltages")
    assert "holds spike times, and no voltages" in fail("two", "--to", "nwb", "--out", "out", "--voltages")
    assert not list((project / "out").iterdir())
    assert "no recordings (*.npz)" in fail("--to", "nwb", "--out", "out", "--array", "data/unzip")
    main(["two", "--to", "nwb", "--out", "out"])
    before = (project / "out/two.nwb").read_bytes()
    assert "two.nwb: is there already" in fail("two", "--to", "nwb", "--out", "out")
    assert (project / "out/two.nwb").read_bytes() == before


def test_a_missing_package_is_named_with_what_installs_it(project, monkeypatch):
    monkeypatch.setattr("mea.arrays.export.find_spec", lambda name: None)
    assert "needs the package pynwb, which is not installed: pip install pynwb" in fail("--to", "nwb", "--out", "out")
