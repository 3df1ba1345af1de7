"""Bursts of single electrodes: known answers, and a plain search."""

import numpy as np
import pytest
from builders.spike_trains import make_trains, name_features

from mea.features.bursts import find_bursts


def test_planted_bursts_are_found():
    """Four bursts of 6 spikes 10 ms apart, one every 5 s, and three single spikes between: 24 of 27 spikes."""
    starts = np.array([5.0, 10.0, 15.0, 20.0])
    bursts = (starts[:, None] + np.arange(6) * 0.01).ravel()
    train = np.sort(np.concatenate([bursts, [2.5, 7.5, 12.5]]))
    features = name_features(make_trains([train], 60, 2, 2))
    for limit in ("burst_20_ms", "burst_100_ms"):
        per_minute = [4.0, 0, 0, 0]
        assert features[f"{limit}_log10_rate_per_min"] == pytest.approx(np.mean(np.log10(np.add(per_minute, 0.1))))
        assert features[f"{limit}_electrode_fraction"] == 1 / 4
        assert features[f"{limit}_spike_fraction"] == pytest.approx(24 / 27)
        assert features[f"{limit}_spike_fraction_electrode"] == pytest.approx(24 / 27)
        assert features[f"{limit}_log10_size"] == pytest.approx(np.log10(6))
        assert features[f"{limit}_log10_size_std"] == pytest.approx(0)
        assert features[f"{limit}_log10_duration_s"] == pytest.approx(np.log10(0.05))
        assert features[f"{limit}_log10_firing_rate_hz"] == pytest.approx(np.log10(100))
        assert features[f"{limit}_log10_interval_s"] == pytest.approx(np.log10(5))
        assert features[f"{limit}_interval_cv"] == pytest.approx(0)


@pytest.mark.parametrize(("gap", "expected"), [(20, [(0, 0, 4)]), (21, [])])
def test_burst_limit_is_included_and_five_spikes_are_enough(gap, expected):
    train = np.array([0, 1, 2, 3, 3 + gap])
    found = find_bursts(train, np.array([0, 5]), 20.0, 5)
    assert list(zip(*found)) == expected


def test_bursts_do_not_run_on_to_the_next_electrode():
    train = np.concatenate([np.arange(4), np.arange(4, 10)])
    electrode, first, last = find_bursts(train, np.array([0, 4, 10]), 20.0, 5)
    assert (electrode.tolist(), first.tolist(), last.tolist()) == ([1], [4], [9])


def test_bursts_agree_with_a_plain_search():
    random = np.random.default_rng(3)
    trains = [np.sort(random.integers(0, 20_000, count)) for count in (0, 1, 300, 900, 40)]
    first = np.concatenate([[0], np.cumsum([len(train) for train in trains])])
    expected = []
    for electrode, train in enumerate(trains):
        runs = np.split(np.arange(len(train)), np.flatnonzero(np.diff(train) > 20) + 1) if len(train) else []
        expected += [
            (electrode, first[electrode] + run[0], first[electrode] + run[-1]) for run in runs if len(run) >= 5
        ]
    assert list(zip(*find_bursts(np.concatenate(trains), first, 20.0, 5))) == expected
    assert len(expected) > 20
