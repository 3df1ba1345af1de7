"""Intervals: known answers."""

import numpy as np
import pytest
from builders.spike_trains import make_poisson, make_trains, name_features

from mea.features.isi import count_isi


def test_regular_train_has_cv_and_lv_zero():
    features = name_features(make_trains([np.arange(0.05, 60, 0.1)], 60))
    assert features["isi_cv_median"] == pytest.approx(0, abs=1e-12)
    assert features["isi_lv_median"] == pytest.approx(0, abs=1e-12)
    assert features["isi_pooled_fraction_73_to_173_ms"] == 1
    assert features["isi_electrode_fraction_73_to_173_ms"] == 1


def test_poisson_trains_have_cv_lv_and_fano_factor_one():
    features = name_features(make_trains(make_poisson(20, 300, 9), 300))
    assert features["isi_cv_median"] == pytest.approx(1, abs=0.03)
    assert features["isi_lv_median"] == pytest.approx(1, abs=0.03)
    for bin_ms in (5, 10, 20, 50, 100):
        assert features[f"population_log10_fano_{bin_ms}_ms"] == pytest.approx(0, abs=0.03)
        assert features[f"population_log10_cv_{bin_ms}_ms"] == pytest.approx(
            np.log10(180 * bin_ms / 1000) / -2, abs=0.03
        )
    assert features["electrode_log10_fano_20_ms"] == pytest.approx(0, abs=0.02)
    assert features["population_autocorrelation_50_ms"] == pytest.approx(0, abs=0.03)
    assert abs(features["correlation_20_ms_mean_all"]) < 0.01
    assert features["correlation_20_ms_participation_ratio"] > 0.99
    assert features["firing_rate_log10_mean_hz"] == pytest.approx(np.log10(20), abs=0.02)


def test_slow_change_of_rate_raises_cv_and_not_lv():
    """Shinomoto et al. 2003: what LV is for. A clock that slows down tenfold is irregular to the CV only."""
    steps = np.geomspace(0.01, 0.1, 1000)
    features = name_features(make_trains([np.cumsum(steps)], steps.sum() + 1, sampling_rate_hz=1_000_000))
    assert features["isi_cv_median"] > 0.5
    assert features["isi_lv_median"] < 1e-4


def test_intervals_count_once_pooled_and_once_per_electrode():
    """Ten intervals of 10 ms on one electrode, one of 1 s on another."""
    trains = [np.arange(11) * 0.01, [0, 1.0]]
    features = name_features(make_trains(trains, 5))
    assert features["isi_pooled_fraction_5p6_to_13_ms"] == pytest.approx(10 / 11)
    assert features["isi_electrode_fraction_5p6_to_13_ms"] == pytest.approx(1 / 2)
    assert features["isi_electrode_fraction_965_to_2280_ms"] == pytest.approx(1 / 2)


def test_intervals_beyond_the_edges_count_in_the_end_bins():
    counts = count_isi(np.array([0, 0, 1, 1000]), np.array([0, 4]), np.array([5.0, 50.0, 500.0]))
    assert counts.tolist() == [[2, 1]]
    assert count_isi(np.array([0, 50]), np.array([0, 2]), np.array([5.0, 50.0, 500.0])).tolist() == [[0, 1]]
