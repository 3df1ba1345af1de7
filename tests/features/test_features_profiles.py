"""Time course of network bursts: known answers."""

import numpy as np
import pytest
from builders.spike_trains import make_trains, name_features, order_spikes

from mea.features.profiles import find_onsets

STARTS_S = np.arange(5, 50, 5.0)
ACTIVE = {0.0025: 8, 0.032: 4, 0.102: 2}  # time after the beginning: electrodes of nine that fire, 14 spikes in all


def plant_bursts(starts_s=STARTS_S, active=ACTIVE, duration_s=60):
    trains = [
        np.sort(np.add.outer(starts_s, [at for at, many in active.items() if unit < many]).ravel()) for unit in range(8)
    ]
    return make_trains(trains, duration_s)


def test_planted_bursts_rise_and_fall_as_they_do():
    features = name_features(plant_bursts())
    density = {"0_to_20": 8 / 14 / 20, "20_to_40": 4 / 14 / 20, "80_to_160": 2 / 14 / 80}
    for name in ("before_160_to_80", "before_40_to_0", "0_to_20", "20_to_40", "80_to_160", "1280_to_2560"):
        expected = np.log10(density.get(name, 0) + 1e-6)
        assert features[f"profile_log10_density_{name}_ms"] == pytest.approx(expected)
        assert features[f"profile_fraction_{name}_ms_std"] == pytest.approx(0)
    height = {"25_to_45": 4 / 8 / 4, "85_to_165": 2 / 8 / 16}
    for name in ("5_to_15", "25_to_45", "85_to_165", "645_to_1285"):
        assert features[f"profile_log10_fall_{name}_ms"] == pytest.approx(np.log10(height.get(name, 0) + 1e-3))
    assert features["profile_log10_rise_before_10_to_0_ms"] == -3
    assert features["profile_log10_peak_delay_ms"] == pytest.approx(np.log10(5))
    assert features["profile_log10_peak_hz"] == pytest.approx(np.log10(8 / 9 / 0.005))
    assert features["profile_peak_std_hz"] == pytest.approx(0)


def test_a_late_peak_is_approached():
    """Four electrodes at the onset, eight 60 ms later: half as many, 50 to 60 ms (10 to 12 bins) before the peak."""
    features = name_features(plant_bursts(active={0.0025: 4, 0.0625: 8}))
    assert features["profile_log10_peak_delay_ms"] == pytest.approx(np.log10(60 + 5))
    assert features["profile_log10_rise_before_80_to_40_ms"] == pytest.approx(np.log10(4 / 8 / 8 + 1e-3))


def test_bursts_at_the_borders_are_left_out():
    """Whole windows only: 160 ms before and 2560 ms after."""
    starts_s = np.array([0.15, 10, 20, 30, 57.4, 57.45])
    onset = find_onsets(order_spikes(plant_bursts(starts_s)))
    assert (onset * 5).tolist() == [10_000, 20_000, 30_000, 57_400]


def test_two_bursts_are_too_few():
    features = name_features(plant_bursts(STARTS_S[:2]))
    assert all(np.isnan(value) for name, value in features.items() if name.startswith("profile"))
