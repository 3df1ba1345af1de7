"""Correlations, and how firing rates are distributed over electrodes and grid: known answers and numpy."""

import warnings

import numpy as np
import pytest
import scipy.stats
from builders.spike_trains import make_poisson, make_trains, name_features, order_spikes

from mea.features import correlations
from mea.features.correlations import compute_correlations, correlate_counts
from mea.features.firing_rates import compute_gini, compute_morans_i


def test_correlation_falls_with_distance():
    """Neighbouring columns share spikes; the nearer, the more."""
    random = np.random.default_rng(0)
    sources = make_poisson(5, 200, 9)
    trains = []
    for col in range(8):
        shared = [sources[near][random.uniform(size=len(sources[near])) < 0.8] for near in (col, col + 1)]
        trains.append(np.sort(np.concatenate(shared)))
    features = name_features(make_trains(trains, 200, 1, 8))
    assert features["correlation_20_ms_distance_1_to_1p5_steps"] > 0.3
    assert abs(features["correlation_20_ms_distance_2p5_to_4p5_steps"]) < 0.05
    assert features["correlation_20_ms_distance_trend"] < -0.3


def test_identical_trains_have_one_eigenvalue():
    train = make_poisson(5, 100, 1)[0]
    features = name_features(make_trains([train] * 4, 100, 2, 2))
    assert features["correlation_200_ms_median"] == pytest.approx(1)
    assert features["correlation_200_ms_eigenvalue_1_fraction"] == pytest.approx(1)
    assert features["correlation_200_ms_participation_ratio"] == pytest.approx(1 / 4)
    assert features["correlation_200_ms_entropy"] == pytest.approx(0, abs=1e-9)


def test_silent_electrodes_correlate_zero_with_all():
    train = make_poisson(5, 100, 1)[0]
    features = name_features(make_trains([train, train], 100, 2, 2))
    assert features["correlation_20_ms_mean_all"] == pytest.approx(1 / 6)
    assert features["correlation_20_ms_median"] == pytest.approx(1)
    assert features["correlation_20_ms_eigenvalue_1_fraction"] == pytest.approx(1 / 2)


def test_correlations_agree_with_numpy():
    counts = np.random.default_rng(0).poisson(0.3, (7, 400)).astype(float)
    counts[3] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.corrcoef(counts)
    np.testing.assert_allclose(correlate_counts(counts), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("duration_s", [1, 6, 60])
def test_correlation_features_agree_with_numpy_with_more_and_with_fewer_electrodes_than_bins(duration_s):
    trains = make_poisson(8, duration_s, 60) + [[], [], [0.5]]
    row, col = np.divmod(np.arange(len(trains)), 9)
    built = order_spikes(make_trains(trains, duration_s, 7, 9))
    features = compute_correlations(built)
    for bin_ms in (20, 200):
        counts = built.count_electrodes(bin_ms)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            matrix = np.nan_to_num(np.corrcoef(counts))
        np.fill_diagonal(matrix, 1)
        fractions = np.maximum(np.linalg.eigvalsh(matrix)[::-1], 0) / len(matrix)
        one, other = np.triu_indices(len(matrix), 1)
        enough = (built.counts >= 5) & (np.ptp(counts, axis=1) > 0)
        firing = enough[one] & enough[other]
        distance = np.hypot(row[one] - row[other], col[one] - col[other])
        near = firing & (distance >= 1) & (distance < 1.5)
        expected = {f"eigenvalue_{number}_fraction": fractions[number - 1] for number in (1, 2, 3)} | {
            "entropy": -np.sum(fractions * np.log(np.maximum(fractions, 1e-300))) / np.log(len(matrix)),
            "participation_ratio": 1 / np.sum(fractions**2) / len(matrix),
            "mean_all": matrix[one, other].mean(),
            "q90": np.quantile(matrix[one, other][firing], 0.9),
            "skew": scipy.stats.skew(matrix[one, other][firing]),
            "distance_1_to_1p5_steps": matrix[one, other][near].mean(),
            "distance_trend": np.corrcoef(matrix[one, other][firing], distance[firing])[0, 1],
        }
        found = {name: features[f"correlation_{bin_ms}_ms_{name}"] for name in expected}
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_pairs_of_drawn_electrodes_stand_for_all(monkeypatch):
    shared = make_poisson(4, 20, 1, seed=1)[0]
    own = make_poisson(6, 20, 300, seed=2)
    built = order_spikes(make_trains([np.sort(np.concatenate([shared, train])) for train in own], 20, 15, 20))
    every = compute_correlations(built)
    monkeypatch.setattr(correlations, "MOST_PAIRED", 150)
    drawn = compute_correlations(built)
    of_all = [name for name in every if any(part in name for part in ("mean_all", "eigen", "participation", "entropy"))]
    assert {name: drawn[name] for name in of_all} == {name: every[name] for name in of_all}
    others = sorted(set(every) - set(of_all))
    assert all(drawn[name] != every[name] for name in others)
    for bin_ms in (20, 200):
        for name in ("q10", "median", "q90", "distance_1_to_1p5_steps", "distance_2p5_to_4p5_steps"):
            name = f"correlation_{bin_ms}_ms_{name}"
            assert drawn[name] == pytest.approx(every[name], abs=0.01), name
    assert compute_correlations(built) == drawn


def test_gini_of_equal_and_of_single_rates():
    assert compute_gini(np.full(8, 3.0)) == pytest.approx(0)
    assert compute_gini(np.array([0, 0, 0, 5.0])) == pytest.approx(3 / 4)
    values = np.random.default_rng(0).exponential(size=40)
    expected = np.abs(np.subtract.outer(values, values)).mean() / (2 * values.mean())
    assert compute_gini(values) == pytest.approx(expected)
    assert np.isnan(compute_gini(np.zeros(3)))


def test_morans_i_tells_clusters_from_checkerboards():
    row, col = np.divmod(np.arange(64), 8)
    assert compute_morans_i(((row + col) % 2).astype(float), row, col) == pytest.approx(-1)
    assert compute_morans_i((row < 4).astype(float), row, col) == pytest.approx(1 - 2 * 16 / 224)
    random = [compute_morans_i(np.random.default_rng(seed).normal(size=64), row, col) for seed in range(400)]
    assert np.mean(random) == pytest.approx(-1 / 63, abs=0.02)


def test_clustered_rates_of_a_recording():
    row, col = np.divmod(np.arange(36), 6)
    for pattern, sign in [((row < 3) & (col < 3), 1), ((row + col) % 2 == 0, -1)]:
        trains = [train if on else train[::10] for train, on in zip(make_poisson(10, 60, 36), pattern)]
        features = name_features(make_trains(trains, 60, 6, 6))
        assert sign * features["firing_rate_morans_i"] > 0.5
        assert sign * features["firing_rate_log10_morans_i"] > 0.5


def test_rates_run_over_silent_electrodes_too():
    features = name_features(make_trains([np.arange(0.1, 10, 0.1), [1.0]], 10, 2, 2))
    assert features["firing_rate_active_fraction_0p01_hz"] == 1 / 2
    assert features["firing_rate_active_fraction_1_hz"] == 1 / 4
    assert features["firing_rate_log10_mean_hz"] == pytest.approx(np.log10((9.9 + 0.1) / 4 + 0.01))
    assert features["firing_rate_log10_q10_hz"] == pytest.approx(-2)
