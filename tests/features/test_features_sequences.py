"""What follows what: return maps and runs of intervals, sequences of network bursts. Known answers and references."""

import numpy as np
import pytest
import quantities as pq
from builders.spike_trains import make_lively, make_poisson, make_trains, name_features, order_spikes
from elephant.statistics import lv
from scipy.stats import skew

from mea.features.nan_statistics import min_active_electrodes
from mea.features.network_bursts import find_network_bursts
from mea.features.return_maps import EDGES_MS, correlate_successive, count_pairs
from mea.features.runs import SIZES, count_runs

# --- return maps -----------------------------------------------------------------------------------------------------


def test_alternating_intervals_follow_each_other():
    """3 ms, 200 ms, 3 ms, ...: doublets, of which a histogram alone could not tell."""
    train = 0.1 + np.cumsum(np.tile([0.003, 0.2], 50))
    features = name_features(make_trains([train, [1.0, 2.0]], 20))
    assert features["return_map_root_fraction_0_to_5_then_110_to_400_ms"] == pytest.approx(np.sqrt(49 / 98))
    assert features["return_map_root_fraction_110_to_400_then_0_to_5_ms"] == pytest.approx(np.sqrt(49 / 98))
    assert features["return_map_root_fraction_0_to_5_then_0_to_5_ms"] == 0
    assert features["return_map_serial_correlation_median"] == pytest.approx(-1)


def test_intervals_of_poisson_trains_forget():
    features = name_features(make_trains(make_poisson(20, 300, 9), 300))
    assert features["return_map_serial_correlation_median"] == pytest.approx(0, abs=0.03)
    fractions = [value**2 for name, value in features.items() if name.startswith("return_map_root")]
    assert sum(fractions) == pytest.approx(1)
    single = [np.exp(-20 * low / 1000) - np.exp(-20 * high / 1000) for low, high in ((12, 35), (35, 110))]
    expected = np.sqrt(np.prod(single))
    assert features["return_map_root_fraction_12_to_35_then_35_to_110_ms"] == pytest.approx(expected, abs=0.02)


def test_pairs_and_serial_correlations_agree_with_numpy():
    trains = order_spikes(make_lively())
    edges = np.array(EDGES_MS) * trains.sampling_rate_hz / 1000
    pairs = count_pairs(trains.train, trains.first, edges)
    serial = correlate_successive(trains.train, trains.first, 0.5 * trains.sampling_rate_hz / 1000)
    for electrode in range(trains.n_electrodes):
        interval = np.diff(trains.train[trains.first[electrode] : trains.first[electrode + 1]])
        bins = [*edges, np.inf]
        expected = np.histogram2d(interval[:-1], interval[1:], bins=(bins, bins))[0]
        np.testing.assert_array_equal(pairs[electrode], expected)
        logs = np.log(np.maximum(interval, 0.5 * trains.sampling_rate_hz / 1000))
        assert serial[electrode] == pytest.approx(np.corrcoef(logs[:-1], logs[1:])[0, 1])


def test_an_electrode_with_few_pairs_does_not_count():
    """21 pairs of 50 ms on one electrode, 19 of 500 ms on another."""
    features = name_features(make_trains([np.arange(23) * 0.05, np.arange(21) * 0.5], 20))
    assert features["return_map_root_fraction_35_to_110_then_35_to_110_ms"] == 1
    assert np.isnan(features["return_map_serial_correlation_median"])  # constant


# --- runs ------------------------------------------------------------------------------------------------------------


def test_planted_triplets_are_runs_of_three():
    """Twelve triplets 4 ms apart, and 12 lone spikes: 36 of 48 spikes; at 80 ms each lone one joins its triplet."""
    starts = np.arange(1, 13)
    train = np.sort(np.concatenate([np.add.outer(starts, [0, 0.004, 0.008]).ravel(), starts + 0.07]))
    features = name_features(make_trains([train], 20))
    for limit in (5, 10, 30):
        assert features[f"run_{limit}_ms_root_fraction_size_3"] == pytest.approx(np.sqrt(36 / 48))
        assert features[f"run_{limit}_ms_root_fraction_size_1"] == pytest.approx(np.sqrt(12 / 48))
    assert features["run_80_ms_root_fraction_size_4_to_5"] == 1
    assert features["run_80_ms_root_fraction_size_1"] == features["run_80_ms_root_fraction_size_50_and_more"] == 0


def test_runs_that_slow_down():
    """Runs of five spikes: two intervals of 2 ms, then two of 8 ms. Eleven of them are enough, nine are not."""
    run = np.cumsum([0, 0.002, 0.002, 0.008, 0.008])
    for many, expected in ((11, np.log10(16.05 / 4.05)), (9, np.nan)):
        features = name_features(make_trains([np.add.outer(np.arange(1, many + 1), run).ravel()], 20))
        assert features["run_10_ms_log10_slowing"] == pytest.approx(expected, nan_ok=True)
        assert np.isnan(features["run_5_ms_log10_slowing"])  # no run of five


def test_runs_agree_with_a_plain_search():
    trains = order_spikes(make_lively())
    spikes, _, long = count_runs(trains.train, trains.first, 300.0, np.array(SIZES), 0.5)
    many = 0
    for electrode in range(trains.n_electrodes):
        train = trains.train[trains.first[electrode] : trains.first[electrode + 1]]
        sizes = np.array([len(run) for run in np.split(train, np.flatnonzero(np.diff(train) > 300) + 1)])
        expected = np.histogram(sizes, [*SIZES, np.inf], weights=sizes)[0]
        np.testing.assert_array_equal(spikes[electrode], expected)
        many += (sizes >= 5).sum()
    assert long == many > 20
    assert spikes.sum() == len(trains.train)


# --- sequences of network bursts -------------------------------------------------------------------------------------


def test_sequences_agree_with_numpy_scipy_and_elephant():
    events = make_lively(duration_s=80)
    trains, features = order_spikes(events), name_features(events)
    first, last = find_network_bursts(trains.count_active(50), min_active_electrodes(0.1, trains.n_electrodes))
    start_s, stop_s = first * 0.05, last * 0.05
    interval, pause = np.diff(start_s), start_s[1:] - stop_s[:-1]
    times = np.sort(events.spike_times_s)
    size = np.log10(np.searchsorted(times, stop_s - 1e-9) - np.searchsorted(times, start_s - 1e-9))
    found = {name.removeprefix("network_sequence_10_"): value for name, value in features.items()}
    assert found["interval_lv"] == pytest.approx(lv(interval * pq.s))
    assert found["interval_log10_std"] == pytest.approx(np.log10(interval).std())
    assert found["size_log10_skew"] == pytest.approx(skew(size))
    for name, one, other in [
        ("interval_serial_correlation", np.log10(interval[1:]), np.log10(interval[:-1])),
        ("size_serial_correlation", size[1:], size[:-1]),
        ("size_after_pause", np.log10(pause), size[1:]),
        ("size_before_pause", np.log10(pause), size[:-1]),
    ]:
        assert found[name] == pytest.approx(np.corrcoef(one, other)[0, 1])
    assert len(first) > 20


def test_classes_of_planted_intervals_and_durations():
    """Bursts 1 s, 4 s, 1 s, 4 s, 30 s and 50 s apart, of one bin (50 ms), but for two of 0.5 s."""
    starts = np.cumsum([2, 1, 4, 1, 4, 30, 50])
    active = np.unique(np.concatenate([starts, starts[1] + np.arange(10) * 0.05, starts[2] + np.arange(10) * 0.05]))
    features = name_features(make_trains([active + 0.01] * 4, 120, 2, 2))
    for percent in (10, 25):
        found = {name.removeprefix(f"network_sequence_{percent}_root_fraction_"): v for name, v in features.items()}
        expected = {"interval_0p6_to_1p2_s": 2, "interval_2p5_to_5_s": 2, "interval_20_to_40_s": 1}
        for name, many in (expected | {"interval_over_40_s": 1, "interval_5_to_10_s": 0}).items():
            assert found[name] == pytest.approx(np.sqrt(many / 6))
        assert found["duration_0_to_0p1_s"] == pytest.approx(np.sqrt(5 / 7))
        assert found["duration_0p4_to_0p8_s"] == pytest.approx(np.sqrt(2 / 7))


def test_bursts_that_wait_for_recovery():
    """Each burst has as many spikes as the pause before it has seconds: size follows the pause, not the next one."""
    pauses = np.array([2, 5, 3, 9, 4, 7, 2, 8, 3, 6])
    starts = np.cumsum(pauses)
    trains = [
        np.concatenate([start + np.arange(pause) * 0.004 for start, pause in zip(starts, pauses)]) for _ in range(4)
    ]
    features = name_features(make_trains(trains, 60, 2, 2))
    assert features["network_sequence_10_size_after_pause"] == pytest.approx(1, abs=1e-3)
    assert abs(features["network_sequence_10_size_before_pause"]) < 0.9
