"""Amplitude and shape of spikes: known answers."""

import dataclasses

import numpy as np
import pytest
from builders.arrays import make_events
from builders.spike_trains import compare, name_features, with_waveform


def test_amplitude_width_and_rebound_of_a_triangle():
    """A trough of -100 µV that returns linearly within 10 samples on both sides, then a hump of 40 µV."""
    trough = -1000 + 100 * np.abs(np.arange(-10, 11))
    shape = np.concatenate([trough, [200, 400, 200]])
    features = name_features(with_waveform(make_events(spikes_per_s=5, rows=3, cols=3), shape, 10))
    assert features["amplitude_log10_median_uv"] == pytest.approx(2)
    assert features["amplitude_log10_std"] == pytest.approx(0, abs=1e-9)
    assert features["amplitude_electrode_log10_uv"] == pytest.approx(2)
    assert features["peak_positive_fraction"] == features["peak_positive_fraction_electrode"] == 0
    assert features["width_median_ms"] == pytest.approx(10 / 25)
    assert features["rebound_median_ratio"] == pytest.approx(0.4)
    assert features["rebound_median_ms"] == pytest.approx(12 / 25)


def test_scaling_voltages_shifts_amplitudes_and_nothing_else():
    events = make_events(spikes_per_s=20, rows=3, cols=3)
    events = dataclasses.replace(events, gain_v=events.gain_v * np.linspace(1, 3, 9))
    louder = dataclasses.replace(events, gain_v=events.gain_v * 4)
    one, other = name_features(events), name_features(louder)
    shifted = {name for name in one if name.startswith("amplitude") and name.endswith("_uv")}
    compare({name: value + (np.log10(4) if name in shifted else 0) for name, value in one.items()}, other)
    assert len(shifted) == 4


def test_sign_of_the_peak():
    events = make_events(spikes_per_s=20, rows=3, cols=3)
    flipped = dataclasses.replace(events, gain_v=-events.gain_v)
    one, other = name_features(events), name_features(flipped)
    assert one["peak_positive_fraction"] + other["peak_positive_fraction"] == 1
    changed = {name for name in one if not np.array_equal(one[name], other[name], equal_nan=True)}
    assert changed == {"peak_positive_fraction", "peak_positive_fraction_electrode"}


def test_spike_times_have_the_same_features_with_and_without_waveforms():
    events = make_events(spikes_per_s=5)
    bare = dataclasses.replace(events, gain_v=np.full(events.n_electrodes, np.nan))
    found, expected = name_features(bare), name_features(events)
    compare(found, {name: expected[name] for name in found}, rtol=0, atol=0)
