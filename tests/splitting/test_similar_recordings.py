"""Recordings that are only similar are not duplicates: cultures, pacemakers, stimuli, silence."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from builders.arrays import make_events
from builders.copies import beat, fire, make_train, plan_cultures

import mea.splitting.duplicates as duplicates
from mea.runtime.errors import MeaError
from mea.splitting.duplicates import check_duplicates, find_duplicates
from mea.splitting.fingerprints import compute_fingerprint, compute_fingerprints


def test_recordings_of_one_culture_are_not_one_recording():
    plans = plan_cultures(batches=3, cultures=2, recordings=3)
    fingerprints = list(compute_fingerprints(fire(plan) for plan in plans))
    assert len(fingerprints) == 36 and min(len(fingerprint.hashes) for fingerprint in fingerprints) > 100
    assert find_duplicates(fingerprints) == []


@pytest.mark.parametrize("jitter_s", [0, 0.0001, 0.0005, 0.002])
@pytest.mark.parametrize("own_samples", [0, 2])
@pytest.mark.parametrize(("duration_s", "period_s"), [(9.6, 0.1), (60.0, 0.1), (60.0, 0.8001)])
def test_pacemakers_are_not_one_recording(duration_s, period_s, jitter_s, own_samples):
    trains = [beat(f"r{n}", duration_s, period_s, jitter_s, own_samples, n) for n in range(12)]
    assert find_duplicates(list(compute_fingerprints(trains))) == []


def test_a_count_of_shared_patterns_without_a_shift_would_be_a_false_alarm():
    """Beats that vary a little share hundreds of patterns by chance, but not at one shift and at several times."""
    fingerprints = list(compute_fingerprints(beat(f"r{n}", 60.0, 0.1, 0.0005, 2, n) for n in range(12)))
    shared = [len(np.intersect1d(a.hashes, b.hashes)) for a, b in combinations(fingerprints, 2)]
    assert max(shared) > 10 * duplicates.MIN_PATTERNS
    assert find_duplicates(fingerprints) == []


def test_one_window_of_equal_beats_on_all_electrodes_is_a_coincidence():
    """Planted: 8 beats in a row at the same intervals, seen by all electrodes at once."""
    random = np.random.default_rng(0)
    shared = 0.8 + 0.05 * random.standard_normal(7)
    trains = []
    for number in range(2):
        beats = np.cumsum(np.concatenate([0.8 + 0.05 * random.standard_normal(30), shared, [0.9, 0.7]]))
        delay_s = np.arange(64) / 1000
        trains.append(make_train(f"r{number}", (beats[:, None] + delay_s).ravel(), np.tile(np.arange(64), 39), 40.0))
    fingerprints = [compute_fingerprint(train) for train in trains]
    assert len(np.intersect1d(fingerprints[0].hashes, fingerprints[1].hashes)) >= 64
    assert find_duplicates(fingerprints) == []


def test_stimuli_that_all_recordings_share_are_not_one_recording():
    """A protocol of irregular stimuli seen by all electrodes, and a culture's own spikes between them."""
    protocol_s = np.cumsum(np.random.default_rng(99).uniform(0.2, 0.6, 140))
    trains = []
    for number in range(40):
        random = np.random.default_rng(number)
        own_s, own = random.uniform(0, 60, 3000), random.integers(0, 20, 3000)
        time_s = np.concatenate([np.repeat(protocol_s, 64), own_s])
        trains.append(make_train(f"r{number}", time_s, np.concatenate([np.tile(np.arange(64), 140), own]), 60.0))
    assert find_duplicates(list(compute_fingerprints(trains))) == []
    copy = replace(trains[7], recording="x", samples_sha256="other", n_samples=trains[7].n_samples + 1)
    (found,) = find_duplicates(list(compute_fingerprints([*trains, copy])))
    assert (found.first, found.second) == ("r7", "x")


def test_silent_recordings_pass_and_silent_voltages_are_compared_by_their_samples():
    silent = [make_events(f"r{number}", spikes_per_s=0.0) for number in range(2)]
    assert find_duplicates(list(compute_fingerprints(silent))) == []
    assert find_duplicates(list(compute_fingerprints([replace(events, samples_sha256="same") for events in silent])))
    spike_times = [
        replace(make_events(f"s{n}", spikes_per_s=0.0, waveforms=False), samples_sha256="") for n in range(2)
    ]
    assert find_duplicates(list(compute_fingerprints(spike_times))) == []


def test_hardly_anything_to_compare():
    few = [make_events(f"r{n}", spikes_per_s=1.0, rows=1, cols=2, seed=n) for n in range(3)]
    assert find_duplicates([]) == [] and find_duplicates(list(compute_fingerprints(few))) == []
    check_duplicates(compute_fingerprints(few))


def test_many_copies_are_all_named_up_to_ten():
    """More copies of one recording than a pattern may have holders are found as long as others are the majority."""
    others = [make_events(f"o{number:02d}", seed=number + 1, duration_s=10.0) for number in range(25)]
    counts = [make_events(f"c{number:02d}", duration_s=10.0) for number in range(20)]
    shifted = [replace(events, peak_sample=events.peak_sample + 3 * number) for number, events in enumerate(counts)]
    fingerprints = list(compute_fingerprints([*others, *shifted]))
    found = find_duplicates(fingerprints)
    assert {found.first for found in found} | {found.second for found in found} == {
        events.recording for events in counts
    }
    with pytest.raises(MeaError, match=rf"… and {len(found) - 10} more pairs\.") as caught:
        check_duplicates(fingerprints)
    assert len(str(caught.value).splitlines()) == 11
