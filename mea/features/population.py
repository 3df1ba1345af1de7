"""The rate of all electrodes together: how unevenly, how lastingly and how rhythmically it varies."""

from functools import cache
from itertools import pairwise

import numpy as np

from mea.features.nan_statistics import MIN_SPIKES, NAN, divide, log10_offset, nanmean, nanstd
from mea.features.trains import Trains

BINS_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
ELECTRODE_BINS_MS = (20, 200, 1000)
LAGS_MS = {10: (10, 20, 50, 100, 200), 100: (200, 500, 1000, 2000, 5000)}  # bin: lags
SPECTRUM_BIN_MS = 10  # to 50 Hz
SEGMENT_BINS = 1024
BAND_EDGES_HZ = np.geomspace(0.2, 50, 11)
SMALL = 1e-3
SMALL_FRACTION = 1e-6  # of the power: below it is rounding


def compute_population(trains: Trains) -> dict[str, float]:
    """Variability, autocorrelation and spectrum of the population's spike count.

    - ``population_log10_fano_<bin>_ms``: log10(variance over mean of the counts + 0.001), 0 for a Poisson process, in
      bins from 5 ms to 2 s. Fano, Physical Review 72:26 (1947), doi:10.1103/PhysRev.72.26.
    - ``population_log10_cv_<bin>_ms``: log10(standard deviation over mean + 0.001) of the same counts.
    - ``electrode_log10_fano_<bin>_ms``: the Fano factor of single electrodes with at least 5 spikes; mean and
      ``_spread`` over them.
    - ``population_autocorrelation_<lag>_ms``: correlation of the counts in bins of 10 ms with those a lag later,
      to 200 ms; ``population_autocorrelation_coarse_<lag>_ms``: in bins of 100 ms, from 200 ms to 5 s.
    - ``population_log10_power_share_<from>_to_<to>_hz``: log10(share of the power + 10⁻⁶) in 10 bands, evenly wide in
      the logarithm from 0.2 to 50 Hz, of counts in 10 ms; Welch's method (Hann windows of 10.24 s, half overlapping,
      their means removed). Welch, IEEE Transactions on Audio and Electroacoustics 15:70 (1967),
      doi:10.1109/TAU.1967.1161901.
    """
    features = {}
    for bin_ms in BINS_MS:
        counts = trains.count_population(bin_ms)
        mean, variance = (counts.mean(), counts.var()) if counts.any() else (NAN, NAN)
        features[f"population_log10_fano_{bin_ms}_ms"] = float(log10_offset(divide(variance, mean), SMALL))
        features[f"population_log10_cv_{bin_ms}_ms"] = float(log10_offset(divide(np.sqrt(variance), mean), SMALL))
    return features | _compute_electrodes(trains) | _compute_autocorrelation(trains) | _compute_spectrum(trains)


def _compute_electrodes(trains: Trains) -> dict[str, float]:
    features = {}
    enough = trains.counts >= MIN_SPIKES
    for bin_ms in ELECTRODE_BINS_MS:
        counts = trains.count_electrodes(bin_ms)[enough]
        total, squares = counts.sum(axis=1), np.einsum("ij,ij->i", counts, counts)
        mean = divide(total, counts.shape[1])
        factors = log10_offset(np.maximum(divide(squares, total) - mean, 0), SMALL)
        features[f"electrode_log10_fano_{bin_ms}_ms"] = nanmean(factors)
        features[f"electrode_log10_fano_{bin_ms}_ms_spread"] = nanstd(factors)
    return features


def _compute_autocorrelation(trains: Trains) -> dict[str, float]:
    features = {}
    for bin_ms, lags_ms in LAGS_MS.items():
        counts = trains.count_population(bin_ms)
        coarse = "_coarse" if bin_ms == max(LAGS_MS) else ""
        for lag_ms in lags_ms:
            features[f"population_autocorrelation{coarse}_{lag_ms}_ms"] = autocorrelate(counts, lag_ms // bin_ms)
    return features


def autocorrelate(counts: np.ndarray, lag: int) -> float:
    """Mean product of the deviations a lag apart over the variance; NaN for constant counts or fewer than two lags."""
    if len(counts) < 2 * lag or not counts.any():
        return NAN
    # In whole numbers, therefore exact; the mean is total / n.
    n, total = len(counts), int(counts.sum())
    early, late = total - int(counts[n - lag :].sum()), total - int(counts[:lag].sum())
    product = int(np.dot(counts[lag:], counts[:-lag]))
    covariance = n * n * product - n * total * (early + late) + (n - lag) * total * total
    variance = n * int(np.dot(counts, counts)) - total * total
    return covariance / ((n - lag) * variance) if variance else NAN


def _compute_spectrum(trains: Trains) -> dict[str, float]:
    counts = trains.count_population(SPECTRUM_BIN_MS)
    power = estimate_spectrum(counts)
    bands = _sum_bands(power) if counts.any() and len(power) else np.full(len(BAND_EDGES_HZ) - 1, NAN)
    shares = log10_offset(divide(bands, bands.sum()), SMALL_FRACTION)
    names = [f"{_write(low)}_to_{_write(high)}_hz" for low, high in pairwise(BAND_EDGES_HZ)]
    return {f"population_log10_power_share_{name}": float(value) for name, value in zip(names, shares)}


def estimate_spectrum(counts: np.ndarray) -> np.ndarray:
    """Power of counts at the frequencies k / (1024 bins), k = 0 to 512, in arbitrary units; empty if too short."""
    half = SEGMENT_BINS // 2
    if len(counts) < SEGMENT_BINS:
        return np.zeros(0)
    segments = np.lib.stride_tricks.sliding_window_view(counts, SEGMENT_BINS)[::half]
    segments = (segments - segments.mean(axis=1, keepdims=True)) * _make_window()
    transformed = np.fft.rfft(segments, axis=1)
    return (transformed.real**2 + transformed.imag**2).mean(axis=0)


def _sum_bands(power: np.ndarray) -> np.ndarray:
    frequency_hz = np.arange(len(power)) * (1000 / SPECTRUM_BIN_MS / SEGMENT_BINS)
    edges = np.searchsorted(frequency_hz, BAND_EDGES_HZ)
    return np.array([power[low:high].sum() for low, high in pairwise(edges)])


@cache
def _make_window() -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SEGMENT_BINS) / SEGMENT_BINS)


def _write(hertz: float) -> str:
    return f"{hertz:.2g}".replace(".", "p")
