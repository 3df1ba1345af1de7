"""The cache, worker processes, tables, and the small file of a recording."""

import os
import re
import shutil
import time
from dataclasses import fields, replace

import h5py
import numpy as np
import pandas as pd
import pytest
from builders.working import refuse, square

from mea.recordings.recording import RawRecording, Recording, read_recording, write_recording
from mea.runtime.cache import fetch_file, find_cache, make_key
from mea.runtime.errors import MeaError
from mea.runtime.parallel import count_threads, count_workers, run_parallel
from mea.runtime.tables import list_used, read_table, write_table

# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Writes a result and counts how often it had to."""

    def __init__(self, content):
        self.content, self.calls = content, 0

    def __call__(self, path):
        self.calls += 1
        path.write_bytes(self.content)


def test_a_result_is_made_once(cache, tmp_path):
    make = Maker(b"result")
    assert fetch_file("ab" * 32, tmp_path / "one.npz", make) is False
    assert fetch_file("ab" * 32, tmp_path / "two.npz", make) is True
    assert make.calls == 1
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes() == b"result"
    assert fetch_file("cd" * 32, tmp_path / "three.npz", make) is False and make.calls == 2


def test_the_result_does_not_share_its_file_with_the_cache(cache, tmp_path):
    """A stage that writes over its output must not change what is kept."""
    make = Maker(b"result")
    for name in ("one.npz", "two.npz"):
        fetch_file("ab" * 32, tmp_path / name, make)
        with (tmp_path / name).open("r+b") as stream:
            stream.write(b"XXXXXX")
    fetch_file("ab" * 32, tmp_path / "three.npz", make)
    assert (tmp_path / "three.npz").read_bytes() == b"result" and make.calls == 1


@pytest.mark.parametrize("damage", ["flipped", "truncated", "no checksum", "foreign checksum", "file gone"])
def test_a_damaged_file_is_made_again(cache, tmp_path, damage):
    make = Maker(b"result")
    fetch_file("ab" * 32, tmp_path / "one.npz", make)
    (kept,) = [path for path in cache.rglob("*") if path.suffix == ".npz"]
    checksum = kept.with_name(f"{kept.name}.sha256")
    assert checksum.exists()
    if damage == "flipped":
        kept.write_bytes(b"resulu")
    elif damage == "truncated":
        kept.write_bytes(b"resul")
    elif damage == "no checksum":
        checksum.unlink()
    elif damage == "foreign checksum":
        checksum.write_text("0" * 64)
    else:
        kept.unlink()
    assert fetch_file("ab" * 32, tmp_path / "two.npz", make) is False
    assert (tmp_path / "two.npz").read_bytes() == b"result" and make.calls == 2
    assert fetch_file("ab" * 32, tmp_path / "three.npz", make) is True and make.calls == 2


def test_nothing_is_kept_when_the_work_fails(cache, tmp_path):
    def fail(path):
        path.write_bytes(b"half")
        raise MeaError("no")

    with pytest.raises(MeaError):
        fetch_file("ab" * 32, tmp_path / "one.npz", fail)
    assert not cache.exists() or not [path for path in cache.rglob("*") if path.is_file()]
    assert fetch_file("ab" * 32, tmp_path / "one.npz", Maker(b"whole")) is False
    assert (tmp_path / "one.npz").read_bytes() == b"whole"


def test_the_key_follows_values_and_code():
    """What counts as code is tested in ``test_imports.py``."""
    key = make_key({"a": 1, "b": [1.5, "x"]}, "mea.runtime.files")
    assert len(key) == 64 and set(key) <= set("0123456789abcdef")
    assert make_key({"b": [1.5, "x"], "a": 1}, "mea.runtime.files") == key
    assert make_key({"a": 2, "b": [1.5, "x"]}, "mea.runtime.files") != key
    assert make_key({"a": 1, "b": [1.5, "x"], "c": None}, "mea.runtime.files") != key
    assert make_key({"a": 1, "b": [1.5, "x"]}, "mea.runtime.tables") != key


def test_the_cache_is_where_the_variable_says(tmp_path, monkeypatch):
    for name in ("one", "two"):
        monkeypatch.setenv("MEA_CACHE", str(tmp_path / name))
        assert find_cache() == tmp_path / name


# --- worker processes ------------------------------------------------------------------------------------------------


def test_results_come_in_order_from_any_number_of_workers():
    expected = [number**2 for number in range(12)]
    for workers in (1, 2):
        results = run_parallel(square, iter(range(12)), "test", workers=workers)
        assert [value for value, _ in results] == expected
        here = [process == os.getpid() for _, process in results]
        assert all(here) if workers == 1 else not any(here)
    assert run_parallel(square, [], "test") == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_mistake_in_a_worker_keeps_its_words(workers):
    with pytest.raises(MeaError, match=r"^3: refused\.$"):
        run_parallel(refuse, range(6), "test", workers=workers)


def test_a_log_file_gets_the_first_and_the_last_state_of_a_bar(monkeypatch, capsys):
    monkeypatch.delenv("MEA_QUIET", raising=False)
    assert run_parallel(square, range(30), "squares", workers=1)
    states = [state for state in capsys.readouterr().err.split("\r") if state.strip()]
    assert len(states) == 2 and "0/30" in states[0] and "30/30" in states[1]


@pytest.mark.parametrize(("name", "count"), [("MEA_WORKERS", count_workers), ("NUMBA_NUM_THREADS", count_threads)])
def test_number_of_workers_and_threads(monkeypatch, name, count):
    monkeypatch.setenv(name, "7")
    assert count() == 7
    monkeypatch.delenv(name)
    assert 1 <= count() <= os.cpu_count()
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv(name, wrong)
        said = f"{name} = '{wrong}': must be a whole number, at least 1. Unset it to use every core."
        with pytest.raises(MeaError, match=re.escape(said)):
            count()


# --- tables ----------------------------------------------------------------------------------------------------------


def test_tables_keep_names_as_text(tmp_path):
    """Names that look like numbers, or like missing values, are names; empty means unknown."""
    names = ["001", "1e5", "NA", "null", "nan", "", "True", "a,b", 'say "x"', "µ"]
    table = pd.DataFrame({"recording": names, "label": names, "start_s": np.arange(10) / 3, "fold": range(10)})
    write_table(tmp_path / "t.csv", table)
    read = read_table(tmp_path / "t.csv")
    assert read["recording"].tolist() == read["label"].tolist() == names
    assert read["fold"].tolist() == list(range(10))
    np.testing.assert_allclose(read["start_s"], table["start_s"], rtol=1e-8)
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()
    write_table(tmp_path / "again.csv", read)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "t.csv").read_bytes()


def test_a_missing_table_names_the_stage_that_writes_it(tmp_path):
    with pytest.raises(MeaError, match=r"no such file. It is written by the stage split: dvc repro split\."):
        read_table(tmp_path / "split" / "chunks.csv")


def test_set_aside_recordings_are_not_listed(tmp_path):
    table = pd.DataFrame(
        {"recording": ["a", "b", "c"], "status": ["used", "set aside", "used"], "events": [1, None, 2]}
    )
    write_table(tmp_path / "catalogue.csv", table)
    assert list_used(tmp_path / "catalogue.csv")["recording"].tolist() == ["a", "c"]


# --- the small file of a recording -----------------------------------------------------------------------------------


def make_recording(spikes):
    random = np.random.default_rng(0)
    source = RawRecording(
        format="mcs",
        dataset="Data/Recording_0/AnalogStream/Stream_1/ChannelData",
        sampling_rate_hz=25_000,
        n_samples=100_000,
        duration_s=4.0,
        start="2024-03-05T10:20:30",
        layout="120MEA",
        rows=12,
        cols=12,
        stream="Electrode Raw Data µV",
        names=np.array(["A4", "B3", "ß1"], object),
        row=np.array([3, 2, 0]),
        col=np.array([0, 1, 5]),
        x_um=np.array([0.0, 200.0, np.nan]),
        y_um=np.array([0.1, 0.2, np.nan]),
        source_row=np.array([2, 0, 1]),
        gain_v=np.array([5.9605e-8, 1e-9, 1 / 3]),
        adc_zero=np.array([0, -5, 2**40]),
        segments=np.array([[0, 0, 49_999], [2_500_000, 50_000, 99_999]]),
        spike_times_s=np.sort(random.random(spikes)),
        spike_electrode=random.integers(0, 3, spikes),
        notes=("a gap", "units missing: taken as µV"),
    )
    return Recording("rec one", "a.zip/x.h5", "ab" * 32, source)


def assert_same(one, other):
    for item in fields(one):
        left, right = getattr(one, item.name), getattr(other, item.name)
        if item.name == "source":
            assert_same(left, right)
        elif isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype
        else:
            assert left == right and type(left) is type(right), item.name


@pytest.mark.parametrize("spikes", [0, 7, 5000])
def test_recording_round_trip(tmp_path, spikes):
    recording = make_recording(spikes)
    write_recording(tmp_path / "one.h5", recording)
    read = read_recording(tmp_path / "one.h5")
    assert_same(recording, read)
    assert read.source.n_electrodes == 3
    nothing = replace(recording, source=replace(recording.source, notes=()))
    write_recording(tmp_path / "two.h5", nothing)
    assert read_recording(tmp_path / "two.h5").source.notes == ()


def test_recording_has_the_same_bytes_again(tmp_path):
    write_recording(tmp_path / "one.h5", make_recording(5000))
    time.sleep(1.1)  # HDF5 would write the time, in seconds
    write_recording(tmp_path / "two.h5", make_recording(5000))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    write_recording(tmp_path / "two.h5", replace(make_recording(5000), file="other"))
    assert (tmp_path / "one.h5").read_bytes() != (tmp_path / "two.h5").read_bytes()


def test_recording_of_another_version_or_kind(tmp_path):
    path = tmp_path / "one.h5"
    write_recording(path, make_recording(0))
    with h5py.File(path, "r+") as h5:
        h5.attrs["format_version"] = 99
    with pytest.raises(MeaError, match=r"one\.h5: format version 99, but 6 is read\. Run dvc repro h5\."):
        read_recording(path)
    with h5py.File(path, "r+") as h5:
        h5.attrs["format_version"] = 6
        del h5["source"]
    with pytest.raises(MeaError, match=r"one\.h5: not a recording written by the h5 stage .* Run dvc repro --force"):
        read_recording(path)
    with h5py.File(path, "w") as h5:
        h5["x"] = 1
    with pytest.raises(MeaError, match="format version None"):
        read_recording(path)
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(MeaError, match="not a recording written by the h5 stage"):
        read_recording(path)
    shutil.rmtree(tmp_path)
    with pytest.raises(MeaError, match="not a recording written by the h5 stage"):
        read_recording(path)
