"""Files that promise more than they hold, groups spelt in two ways, samples that are damaged behind a good header."""

import csv
import os
import unicodedata
import zipfile

import h5py
import numpy as np
import pytest
from builders.recordings import write_small_mcs, write_small_spike_times

import stages.array
import stages.h5
import stages.unzip
from mea.recordings.archives import find_entries, unpack
from mea.recordings.catalogue import build_catalogue
from mea.recordings.formats import read_raw_recordings
from mea.recordings.identities import identify_nobody
from mea.recordings.labels import match_group, match_label, read_recordings_csv
from mea.recordings.reading import read_recordings
from mea.recordings.recording import Identity
from mea.runtime.command import run_command
from mea.runtime.errors import BadRecording
from mea.runtime.files import read_json
from mea.runtime.tables import read_table

pytestmark = pytest.mark.usefixtures("alone")
STREAM = "Data/Recording_0/AnalogStream/Stream_0"


# --- more promised than held ------------------------------------------------------------------------------------------


def test_spike_counts_whose_sum_wraps_around_are_refused(tmp_path):
    """Two of them add up to -2 in 64 bits, which with the rest is the number of spikes."""
    path = tmp_path / "one.h5"
    write_small_spike_times(path)
    with h5py.File(path, "r+") as h5:
        n, spikes = len(h5["names"]), len(h5["spikes"])
        del h5["sCount"]
        h5["sCount"] = np.array([2**63 - 1, 2**63 - 1, spikes + 2, *[0] * (n - 3)], np.int64)
    (found,) = read_raw_recordings(path, "raw")
    assert isinstance(found, BadRecording) and f"add up to {2 * (2**63 - 1) + spikes + 2}" in str(found)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [("ChannelDataTimeStamps", (2**26, 3), "<i8"), ("ChannelData", (4, 2**27), "<i4")],
)
def test_a_dataset_that_is_declared_and_not_there_is_refused_before_it_is_read(tmp_path, name, shape, dtype):
    path = tmp_path / "one.h5"
    write_small_mcs(path, labels=["F7", "F8", "A4", "M9"])
    with h5py.File(path, "r+") as h5:
        del h5[STREAM][name]
        h5[STREAM].create_dataset(name, shape, dtype, chunks=(shape[0] // 64 or 1, 3 if shape[1] == 3 else 2**20))
    (found,) = read_raw_recordings(path, "raw")
    assert isinstance(found, BadRecording) and f"{name}: declared as {shape}" in str(found)
    assert "but 0 are stored" in str(found)


def test_an_honest_recording_of_silence_is_read(tmp_path):
    """Zeros pack a thousand times smaller."""
    path = tmp_path / "one.h5"
    write_small_mcs(path, labels=["F7", "F8", "A4", "M9"])
    with h5py.File(path, "r+") as h5:
        group = h5[STREAM]
        del group["ChannelData"], group["ChannelDataTimeStamps"]
        packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True, "chunks": (4, 2**16)}
        group.create_dataset("ChannelData", data=np.zeros((4, 2**23), "<i4"), **packed)
        group["ChannelDataTimeStamps"] = np.array([[0, 0, 2**23 - 1]])
    (found,) = read_raw_recordings(path, "raw")
    assert not isinstance(found, BadRecording) and found.n_samples == 2**23


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("ConversionFactor", np.inf, "it must be above 0"),
        ("ConversionFactor", np.nan, "it must be above 0"),
        ("ADZero", np.nan, "is beyond 32 bits"),
        ("ADZero", 2.0**62, "is beyond 32 bits"),
        ("ADZero", -(2.0**63), "is beyond 32 bits"),
    ],
)
def test_scales_that_no_amplifier_has_are_refused(tmp_path, field, value, text):
    path = tmp_path / "one.h5"
    write_small_mcs(path, labels=["F7", "F8"])
    with h5py.File(path, "r+") as h5:
        channels = h5[STREAM]["InfoChannel"][...]
        wider = [(name, "f8" if name == field else channels.dtype[name]) for name in channels.dtype.names]
        changed = channels.astype(wider)
        changed[field][1] = value
        del h5[STREAM]["InfoChannel"]
        h5[STREAM]["InfoChannel"] = changed
    (found,) = read_raw_recordings(path, "raw")
    assert isinstance(found, BadRecording) and text in str(found)


def test_a_recording_that_never_ends_is_refused(tmp_path):
    path = tmp_path / "one.h5"
    write_small_spike_times(path)
    with h5py.File(path, "r+") as h5:
        h5["recordingtime"][...] = [0, 1e300]
    (found,) = read_raw_recordings(path, "raw")
    assert isinstance(found, BadRecording) and "recordingtime is [0.0, 1e+300]" in str(found)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such pipes")
@pytest.mark.parametrize("name", ["x.h5", "x.zip"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    write_small_spike_times(tmp_path / "good.h5")
    os.mkfifo(tmp_path / name)
    with pytest.warns(UserWarning, match=rf"{name}: neither a file nor a folder"):
        assert [entry.member for entry in find_entries(tmp_path)] == ["good.h5"]


def test_the_directory_of_an_archive_is_read_once_for_all_members(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        for number in range(300):
            archive.writestr(f"{number:03d}.h5", f"content {number}")
    monkeypatch.setenv("MEA_WORKERS", "1")
    opened, init = [], zipfile.ZipFile.__init__
    monkeypatch.setattr(zipfile.ZipFile, "__init__", lambda self, *a, **k: (opened.append(1), init(self, *a, **k))[1])
    manifest = unpack(tmp_path / "many.zip", tmp_path / "out")
    assert len(manifest) == 300 and len(opened) <= 3
    assert (tmp_path / "out/many.zip/123.h5").read_text() == "content 123"


# --- who a recording is -----------------------------------------------------------------------------------------------


def test_one_group_spelt_in_two_ways_is_one_group(tmp_path):
    composed, hidden = "Größe1", "Grö\u200bße1"
    decomposed = unicodedata.normalize("NFD", composed)
    with (tmp_path / "recordings.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = [("r1", "a", composed, composed), ("r2", "b", decomposed, hidden), ("r3", "b\ufeff", hidden, decomposed)]
        csv.writer(stream).writerows([("recording", "label", "culture", "batch"), *rows])
    table = read_recordings_csv(tmp_path / "recordings.csv")
    assert set(table["culture"]) == set(table["batch"]) == {composed} and set(table["label"]) == {"a", "b"}
    assert match_group(f"x_{decomposed}_1.h5", "_(.*)_") == composed
    assert match_label(f"{decomposed}.h5", {"large": [composed], "other": ["none"]}) == "large"


@pytest.mark.parametrize(("stated", "culture"), [("", "two"), ("c7", "c7")])
def test_recordings_of_one_file_are_one_culture_unless_stated(tmp_path, stated, culture):
    (tmp_path / "raw").mkdir()
    write_small_mcs(tmp_path / "raw/two.h5", labels=["F7", "F8"], recordings=2)
    manifest = unpack(tmp_path / "raw", tmp_path / "out")
    found = read_recordings(
        tmp_path / "out", manifest, "raw", lambda name, path, place: Identity(name, "a", stated, "")
    )
    assert [(one.recording, one.culture) for one in found] == [("two", culture), ("two#2", culture)]
    assert all(("taken as one culture" in one.assumed) == (not stated) for one in found)
    notes = build_catalogue(found)["notes"]
    assert all(("taken as one culture" in note) == (not stated) for note in notes)
    unknown = read_recordings(tmp_path / "out", manifest, "raw", identify_nobody)
    assert {one.culture for one in unknown} == {""}, "of a new recording nothing is said"


# --- damage in the samples --------------------------------------------------------------------------------------------


def run(stage, folder, *settings):
    """The stages unzip, h5 and array in a folder; ``settings`` of the last two."""
    places = {
        stages.unzip: {"source": folder / "raw", "out": folder / "unzip"},
        stages.h5: {"unzip": folder / "unzip", "out": folder / "h5", "metrics": folder / "h5.json"},
        stages.array: {
            "h5": folder / "h5", "unzip": folder / "unzip", "out": folder / "array", "metrics": folder / "array.json",
            "plots": folder / "plots",
        },
    }  # fmt: skip
    work = {stages.unzip: stages.unzip.unzip, stages.h5: stages.h5.build, stages.array: stages.array.detect}
    given = [f"unzip.source={folder / 'raw'}", *settings] if stage is stages.unzip else list(settings)
    argv = [part for one in given for part in ("--set", one)]
    paths = {name: str(path) for name, path in places[stage].items()}
    run_command(work[stage], stage.Params, argv, **paths | ({"source": ""} if stage is stages.unzip else {}))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """No test here looks at a plot."""
    monkeypatch.setattr(stages.array, "MOST_SHOWN", 0)


@pytest.fixture
def damaged(tmp_path):
    """Four recordings, a flipped byte in the compressed samples of one."""
    (tmp_path / "raw").mkdir()
    for number in range(4):
        name = f"{'control' if number % 2 else 'withMNPs'}_{number}.h5"
        write_small_mcs(tmp_path / "raw" / name, labels=["F7", "F8", "A4", "M9"], n_samples=25_000, seed=number)
    path = tmp_path / "raw/control_1.h5"
    with h5py.File(path) as h5:
        chunk = h5[STREAM]["ChannelData"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("what", ["error", "skip"])
def test_damage_in_samples_stops_or_is_set_aside_as_asked(damaged, what, capsys):
    asked = f"h5.on_bad_recording={what}"
    for stage in (stages.unzip, stages.h5):
        run(stage, damaged, asked)
    if what == "error":
        with pytest.raises(SystemExit, match=r"array: .*control_1\.h5: .* damaged"):
            run(stages.array, damaged)
        assert not (damaged / "array").exists()
        return
    run(stages.array, damaged)
    catalogue = read_table(damaged / "array/catalogue.csv").set_index("recording")
    assert catalogue.loc["control_1", "status"] == "set aside" and "damaged" in catalogue.loc["control_1", "reason"]
    assert str(damaged) not in catalogue.loc["control_1", "reason"], "wherever it lies"
    assert sorted(path.stem for path in (damaged / "array").glob("*.npz")) == ["control_3", "withMNPs_0", "withMNPs_2"]
    assert list(read_json(damaged / "array.json")["set_aside"]) == ["control_1"]


def test_a_file_that_was_exchanged_since_is_noticed(damaged):
    for stage in (stages.unzip, stages.h5):
        run(stage, damaged, "h5.on_bad_recording=skip")
    other = (damaged / "unzip/withMNPs_2.h5").read_bytes()
    (damaged / "unzip/withMNPs_0.h5").write_bytes(other)
    run(stages.array, damaged)
    catalogue = read_table(damaged / "array/catalogue.csv").set_index("recording")
    assert "not the file that the stage h5 looked at" in catalogue.loc["withMNPs_0", "reason"]


def test_the_recorded_rate_stays_among_the_metadata_when_it_is_resampled(tmp_path):
    (tmp_path / "raw").mkdir()
    for number in range(4):
        name = f"{'control' if number % 2 else 'withMNPs'}_{number}.h5"
        rate = {"sampling_rate_hz": 10_000 if number % 2 else 25_000}
        write_small_mcs(tmp_path / "raw" / name, labels=["F7", "F8"], n_samples=20_000, seed=number, **rate)
    for stage in (stages.unzip, stages.h5):
        run(stage, tmp_path)
    run(stages.array, tmp_path, "array.other_sampling_rate=resample")
    catalogue = read_table(tmp_path / "array/catalogue.csv")
    assert set(catalogue["sampling_rate_hz"]) == {25_000}
    assert catalogue["recorded_sampling_rate_hz"].tolist() == [10_000, 10_000, 25_000, 25_000]
