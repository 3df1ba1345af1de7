"""Recruitment of electrodes in network bursts: known answers, and what chance alone must not show."""

import numpy as np
import pytest
from builders.spike_trains import make_lively, make_trains, name_features, order_spikes

from mea.features.network_bursts import find_network_bursts
from mea.features.recruitment import find_latencies, measure_bursts

STARTS_S = np.arange(2, 34, 4.0)
ROW, COL = np.divmod(np.arange(9), 3)


def plant_bursts(latency_ms):
    """Eight bursts; electrode k fires once in each, ``latency_ms[burst][k]`` after its beginning."""
    latency_ms = np.broadcast_to(latency_ms, (len(STARTS_S), 9))
    return make_trains((STARTS_S[:, None] + latency_ms / 1000).T, 40)


def test_a_wave_is_fast_and_reliable():
    features = name_features(plant_bursts(2.0 * np.arange(9)))
    expected = {"fraction": 1, "log10_q10_ms": np.log10(1.6 + 1), "log10_median_ms": np.log10(8 + 1)}
    expected |= {"log10_q90_ms": np.log10(14.4 + 1), "log10_iqr_ms": np.log10(8 + 1)}
    expected["rank_distance_correlation"] = np.corrcoef(np.arange(9), np.hypot(ROW, COL))[0, 1]
    for name, value in expected.items():
        assert features[f"recruitment_{name}"] == pytest.approx(value)
        assert features[f"recruitment_{name}_std"] == pytest.approx(0, abs=1e-9)
    assert features["recruitment_rank_std"] == pytest.approx(np.std((np.arange(9) + 0.5) / 9))
    assert features["recruitment_rank_std_within"] == pytest.approx(0, abs=1e-9)
    assert features["recruitment_leader_repeat_fraction"] == 1
    assert features["recruitment_leader_move_steps"] == 0
    assert features["recruitment_joined_median_fraction"] == 1
    assert features["recruitment_joined_gini"] == pytest.approx(0)


def test_electrodes_of_one_sample_share_rank_and_lead():
    features = name_features(plant_bursts(np.zeros(9)))
    assert features["recruitment_leader_repeat_fraction"] == pytest.approx(1 / 9)
    assert features["recruitment_rank_std"] == 0
    assert np.isnan(features["recruitment_rank_distance_correlation"])
    measures, rank, lead, middle = measure_bursts(np.array([[5, 5, 9, 7, -1, 9, 9]]), *np.divmod(np.arange(7), 7), 4)
    np.testing.assert_allclose(rank[0] * 6, [1, 1, 4.5, 2.5, np.nan, 4.5, 4.5])
    assert lead[0].tolist() == [0.5, 0.5, 0, 0, 0, 0, 0] and middle[0].tolist() == [0, 0.5]
    assert measures[0, 0] == 6


def test_two_leaders_in_turn():
    """First electrode 0, at (0, 0), then electrode 5, at (1, 2): 12 of the 28 pairs of bursts share their leader."""
    latency_ms = np.full((8, 9), 20.0)
    latency_ms[::2, 0] = latency_ms[1::2, 5] = 0
    features = name_features(plant_bursts(latency_ms))
    assert features["recruitment_leader_repeat_fraction"] == pytest.approx(12 / 28)
    assert features["recruitment_leader_move_steps"] == pytest.approx(np.sqrt(5))


def test_an_order_by_chance_is_no_order():
    """The planted fault: mean ranks over eight bursts vary by chance, too, by 0.29 / sqrt(8)."""
    stds = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        latency_ms = np.stack([random.permutation(9) * 5.0 for _ in STARTS_S])
        features = name_features(plant_bursts(latency_ms))
        stds.append(features["recruitment_rank_std"])
        assert features["recruitment_rank_std_within"] == pytest.approx(0.29, abs=0.06)
    assert np.median(stds) < 0.05


def test_who_does_not_join():
    """Electrode 0 is missing in half of the bursts, electrode 1 in all."""
    latency_ms = np.tile(3.0 * np.arange(9), (8, 1))
    latency_ms[:4, 0] = latency_ms[:, 1] = 1500  # long after
    features = name_features(plant_bursts(latency_ms))
    assert features["recruitment_fraction"] == pytest.approx((4 * 7 / 9 + 4 * 8 / 9) / 8)
    assert features["recruitment_joined_q10_fraction"] == pytest.approx(0.8 * 0.5)  # between 0 and a half
    assert features["recruitment_joined_median_fraction"] == 1


def test_latencies_agree_with_a_plain_search():
    events = make_lively()
    trains = order_spikes(events)
    found = find_latencies(trains)
    onset, _ = find_network_bursts(trains.count_active(50), 2)
    assert len(found) == len(onset) > 10
    for burst, start in enumerate(onset * 500):  # samples, at 10 kHz
        for electrode in range(trains.n_electrodes):
            since = trains.train[trains.first[electrode] : trains.first[electrode + 1]] - (start - 500)
            inside = since[(since >= 0) & (since < 4500)]
            assert found[burst, electrode] == (inside[0] if len(inside) else -1)
