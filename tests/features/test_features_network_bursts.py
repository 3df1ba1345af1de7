"""Synchrony and network bursts: known answers."""

import numpy as np
import pytest
from builders.spike_trains import make_trains, name_features

from mea.features.nan_statistics import min_active_electrodes
from mea.features.network_bursts import find_network_bursts


def test_synchrony():
    """Nine electrodes fire within 8 ms every second; one of them also alone, half-way."""
    trains = [np.arange(0.001, 20, 1) + 0.0005 * electrode for electrode in range(9)]
    trains[0] = np.sort(np.concatenate([trains[0], np.arange(0.501, 20, 1)]))
    features = name_features(make_trains(trains, 20))
    assert features["synchrony_10_ms_mean"] == pytest.approx(9 / 10)
    assert features["synchrony_10_ms_std"] == pytest.approx(3 / 10)
    assert features["synchrony_10_ms_q50"] == pytest.approx(1 / 2)  # between a bin of one and a bin of all
    assert features["synchrony_10_ms_max"] == 1
    for bin_ms in (10, 50, 200):
        fraction = 10 ** features[f"synchrony_{bin_ms}_ms_log10_fraction_above_50"] - 1e-4
        assert fraction == pytest.approx(bin_ms / 1000)


def test_planted_network_bursts_are_found():
    """Every 4 s all but one of nine electrodes fire in three bins of 50 ms, fullest in the second."""
    active = {0.01: 3, 0.06: 8, 0.11: 4}  # time after the beginning: electrodes that fire
    starts = np.arange(1, 39, 4)
    trains = [np.add.outer(starts, [at for at, many in active.items() if unit < many]).ravel() for unit in range(8)]
    features = name_features(make_trains(trains, 40))
    for prefix in ("network_burst_10", "network_burst_25"):
        assert features[f"{prefix}_log10_rate_per_min"] == pytest.approx(np.log10(15 + 0.1))
        assert features[f"{prefix}_spike_fraction"] == 1
        assert features[f"{prefix}_time_fraction"] == pytest.approx(0.15 / 4)
        assert features[f"{prefix}_log10_duration_s"] == pytest.approx(np.log10(0.15))
        assert features[f"{prefix}_log10_size_per_electrode"] == pytest.approx(np.log10(15 / 9))
        assert features[f"{prefix}_peak_fraction"] == pytest.approx(8 / 9)
        assert features[f"{prefix}_peak_time"] == pytest.approx(1 / 2)
        assert features[f"{prefix}_log10_interval_s"] == pytest.approx(np.log10(4))
        assert features[f"{prefix}_interval_cv"] == pytest.approx(0)


def test_one_bin_between_two_runs_is_bridged_and_two_are_not():
    first, last = find_network_bursts(np.array([9, 0, 9, 0, 0, 9, 1, 1, 1]), 4)
    assert (first.tolist(), last.tolist()) == ([0, 5], [3, 6])


@pytest.mark.parametrize(("fraction", "electrodes", "least"), [(0.1, 70, 7), (0.1, 61, 7), (0.25, 60, 15), (0.1, 1, 2)])
def test_active_electrodes_are_a_fraction_of_all_and_at_least_two(fraction, electrodes, least):
    assert min_active_electrodes(fraction, electrodes) == least
