"""Summary features against elephant, which computes some of them independently."""

import warnings

import neo
import numpy as np
import pytest
import quantities as pq
from builders.spike_trains import make_lively, name_features, order_spikes
from elephant.conversion import BinnedSpikeTrain
from elephant.spike_train_correlation import correlation_coefficient
from elephant.statistics import cv, fanofactor, isi, lv

from mea.features.correlations import correlate_counts
from mea.features.isi import EDGES_MS, compute_cv_lv, count_isi

DURATION_S = 40


@pytest.fixture(scope="module")
def events():
    return make_lively(duration_s=DURATION_S)


@pytest.fixture(scope="module")
def trains(events):
    return order_spikes(events)


@pytest.fixture(scope="module")
def spike_trains(events):
    return [
        neo.SpikeTrain(events.spike_times_s[events.electrode == unit] * pq.s, t_stop=DURATION_S * pq.s)
        for unit in range(events.n_electrodes)
    ]


def test_cv_and_lv(trains, spike_trains):
    found = compute_cv_lv(trains.train, trains.first)
    intervals = [isi(train).rescale("ms").magnitude for train in spike_trains]
    np.testing.assert_allclose(found[0], [cv(values) for values in intervals], rtol=1e-9)
    np.testing.assert_allclose(found[1], [lv(values) for values in intervals], rtol=1e-9)


def test_interval_histogram(trains, spike_trains):
    found = count_isi(trains.train, trains.first, EDGES_MS * trains.sampling_rate_hz / 1000)
    clipped = [np.clip(isi(train).rescale("ms").magnitude, EDGES_MS[0], EDGES_MS[-1] - 1) for train in spike_trains]
    # Whole samples cannot lie on an edge but for the first, which is clipped to.
    expected = [np.histogram(values, EDGES_MS)[0] for values in clipped]
    np.testing.assert_array_equal(found, expected)
    assert found.sum() == sum(len(train) - 1 for train in spike_trains)


@pytest.mark.parametrize("bin_ms", [200, 1000])
def test_fano_factor_of_electrodes(events, spike_trains, bin_ms):
    """Each bin is a trial: elephant's factor over trials."""
    factors = []
    for train in spike_trains:
        starts = np.arange(0, DURATION_S * 1000, bin_ms) / 1000
        trials = [
            train.magnitude[(train.magnitude >= start) & (train.magnitude < start + bin_ms / 1000)] for start in starts
        ]
        stop = DURATION_S * pq.s
        factors.append(fanofactor([neo.SpikeTrain(trial * pq.s, t_stop=stop) for trial in trials]))
    expected = np.log10(np.array(factors) + 1e-3)
    features = name_features(events)
    assert features[f"electrode_log10_fano_{bin_ms}_ms"] == pytest.approx(expected.mean(), rel=1e-9)
    assert features[f"electrode_log10_fano_{bin_ms}_ms_std"] == pytest.approx(expected.std(), rel=1e-9)


@pytest.mark.parametrize("bin_ms", [20, 200])
def test_correlation_matrix(trains, spike_trains, bin_ms):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = correlation_coefficient(BinnedSpikeTrain(spike_trains, bin_size=bin_ms * pq.ms))
    np.testing.assert_allclose(correlate_counts(trains.count_electrodes(bin_ms)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bin_ms", [5, 20, 200, 2000])
def test_counts(trains, spike_trains, bin_ms):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        binned = BinnedSpikeTrain(spike_trains, bin_size=bin_ms * pq.ms).to_array()
    np.testing.assert_array_equal(trains.count_electrodes(bin_ms), binned)
    np.testing.assert_array_equal(trains.count_population(bin_ms), binned.sum(axis=0))
    np.testing.assert_array_equal(trains.count_active(bin_ms), (binned > 0).sum(axis=0))
