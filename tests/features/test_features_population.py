"""Spike count of the population: known answers and definitions."""

import numpy as np
import pytest
from builders.spike_trains import make_poisson, make_trains, name_features

from mea.features.population import autocorrelate, estimate_spectrum


@pytest.mark.parametrize(
    ("hertz", "band"),
    [(0.5, "0p35_to_0p6"), (2.5, "1p8_to_3p2"), (7, "5p5_to_9p5"), (20, "17_to_29"), (40, "29_to_50")],
)
def test_sine_modulated_rate_peaks_in_its_band(hertz, band):
    random = np.random.default_rng(1)
    trains = []
    for train in make_poisson(80, 120, 9):
        trains.append(train[random.uniform(size=len(train)) < 0.5 + 0.5 * np.sin(2 * np.pi * hertz * train)])
    features = name_features(make_trains(trains, 120))
    power = {name: value for name, value in features.items() if "power_fraction" in name}
    width = np.log10(np.diff(np.geomspace(0.2, 50, 11)))  # a flat spectrum is higher in a wider band
    density = dict(zip(power, np.array(list(power.values())) - width))
    assert max(density, key=density.get) == f"population_log10_power_fraction_{band}_hz"
    assert sum(10 ** np.array(list(power.values())) - 1e-6) == pytest.approx(1)


def test_autocorrelation_follows_the_period():
    """Population spikes every 200 ms: counts in 10 ms agree with themselves after 200 ms, and not after 100."""
    features = name_features(make_trains([np.arange(0.005, 60, 0.2)], 60))
    assert features["population_autocorrelation_200_ms"] == pytest.approx(1, abs=0.01)
    assert features["population_autocorrelation_100_ms"] == pytest.approx(-1 / 19, abs=0.01)
    assert features["population_log10_fano_200_ms"] == pytest.approx(-3)  # exactly one spike in each


def test_autocorrelation_agrees_with_the_definition():
    counts = np.random.default_rng(0).poisson(3, 500).cumsum() % 17
    deviation = counts - counts.mean()
    for lag in (1, 7, 250):
        expected = np.mean(deviation[lag:] * deviation[:-lag]) / counts.var()
        assert autocorrelate(counts, lag) == pytest.approx(expected, rel=1e-10)
    assert np.isnan(autocorrelate(counts, 251))
    assert np.isnan(autocorrelate(np.ones(500, np.int64), 1))


def test_spectrum_agrees_with_the_definition():
    """Welch's method spelled out: Hann windows of 1024 bins, half overlapping, each without its mean."""
    counts = np.random.default_rng(0).poisson(2, 5000)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    segments = [counts[start : start + 1024] for start in range(0, 5000 - 1023, 512)]
    expected = np.mean([np.abs(np.fft.rfft((segment - segment.mean()) * hann)) ** 2 for segment in segments], axis=0)
    ratio = estimate_spectrum(counts)[1:-1] / expected[1:-1]  # a density; both ends count once, not twice
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)
    assert len(estimate_spectrum(counts[:1023])) == 0
