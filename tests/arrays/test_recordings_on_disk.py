"""Recordings that are read when they are asked for: the same events, few of them in memory."""

import pickle

import numpy as np
import pytest
from builders.arrays import make_events

from mea.arrays import events_file
from mea.arrays.events_file import RecordingsOnDisk, load_events, save_events


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        save_events(tmp_path / f"r{number}.npz", make_events(f"r{number}", duration_s=2.0, seed=number))
    return tmp_path


def test_they_are_what_is_on_disk_in_the_order_that_was_given(folder):
    names = ["r3", "r1", "r3", "r5"]
    recordings = RecordingsOnDisk(folder, names)
    assert list(recordings) == ["r3", "r1", "r5"] and len(recordings) == 3
    for name, events in recordings.items():
        np.testing.assert_array_equal(events.peak_sample, load_events(folder / f"{name}.npz").peak_sample)
    with pytest.raises(KeyError):
        recordings["r0"]


def test_no_more_stay_in_memory_than_the_limit_allows(folder, monkeypatch):
    sizes = {f"r{number}": load_events(folder / f"r{number}.npz").nbytes for number in range(6)}
    monkeypatch.setattr(events_file, "MOST_KEPT_BYTES", 2 * max(sizes.values()))
    recordings = RecordingsOnDisk(folder, sizes)
    for name in [*sizes, "r1", "r5"]:
        assert recordings[name].recording == name
        assert recordings.kept_bytes == sum(one.nbytes for one in recordings.kept.values()) <= 2 * max(sizes.values())
    assert list(recordings.kept) == ["r1", "r5"]
    assert recordings["r1"] is recordings["r1"], "what is kept is not read again"


def test_what_a_worker_is_sent_holds_no_spikes(folder):
    whole = RecordingsOnDisk(folder, ["r0", "r1"], {"r1": ("ratio", "r4")})
    assert whole["r0"] is whole["r0"]
    sent = pickle.dumps(whole)
    received = pickle.loads(sent)
    assert len(sent) < 1000 and not received.kept and list(received) == ["r0", "r1"]
    assert received["r1"].baseline.how == "ratio" and received["r1"].baseline.events.recording == "r4"


def test_one_that_is_larger_than_the_limit_is_read_all_the_same(folder, monkeypatch):
    monkeypatch.setattr(events_file, "MOST_KEPT_BYTES", 1)
    recordings = RecordingsOnDisk(folder, ["r0", "r1"])
    assert recordings["r0"].recording == "r0" and recordings["r1"].recording == "r1"
    assert list(recordings.kept) == ["r1"]
