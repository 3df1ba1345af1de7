"""The spike count of all electrodes together: how much it varies, how long changes last, and its rhythms."""

from itertools import pairwise

import numpy as np
from scipy.signal import welch

from mea.features.feature import Family, Feature, format_range
from mea.features.nan_statistics import MIN_SPIKES, NAN, divide, log10_offset, nanmean, nanstd
from mea.features.trains import Trains

BINS_MS = (5, 10, 20, 50, 100, 200, 500, 1000, 2000)
ELECTRODE_BINS_MS = (20, 200, 1000)
LAGS_MS = {10: (10, 20, 50, 100, 200), 100: (200, 500, 1000, 2000, 5000)}  # bin: lags
SPECTRUM_BIN_MS = 10  # to 50 Hz
SEGMENT_BINS = 1024
BAND_EDGES_HZ = np.geomspace(0.2, 50, 11)
OFFSET = 1e-3
OFFSET_FRACTION = 1e-6  # of the power: what is smaller is rounding


def _format_hz(frequency_hz: float) -> str:
    return f"{frequency_hz:.2g}".replace(".", "p")


BANDS = [f"{_format_hz(low)}_to_{_format_hz(high)}_hz" for low, high in pairwise(BAND_EDGES_HZ)]
LAGS = {
    f"population_autocorrelation{'_coarse' if bin_ms == max(LAGS_MS) else ''}_{lag_ms}_ms": (bin_ms, lag_ms)
    for bin_ms, lags_ms in LAGS_MS.items()
    for lag_ms in lags_ms
}


def _list_features() -> tuple[Feature, ...]:
    features = []
    for bin_ms in BINS_MS:
        counts = f"counts of all electrodes in bins of {bin_ms} ms"
        features += [
            Feature(f"population_log10_fano_{bin_ms}_ms", "log10", f"Fano factor + 0.001 of the {counts}"),
            Feature(f"population_log10_cv_{bin_ms}_ms", "log10", f"coefficient of variation + 0.001 of the {counts}"),
        ]
    for bin_ms in ELECTRODE_BINS_MS:
        name, words = f"electrode_log10_fano_{bin_ms}_ms", f"Fano factor + 0.001 of an electrode in bins of {bin_ms} ms"
        features += [
            Feature(name, "log10", f"{words}, mean over the electrodes"),
            Feature(f"{name}_std", "log10", f"{words}, standard deviation over the electrodes"),
        ]
    for name, (bin_ms, lag_ms) in LAGS.items():
        features.append(
            Feature(name, "", f"correlation of the counts in bins of {bin_ms} ms with those {lag_ms} ms later")
        )
    for name in BANDS:
        words = f"fraction of the power of the counts in {format_range(name)}, + 10⁻⁶"
        features.append(Feature(f"population_log10_power_fraction_{name}", "log10", words))
    return tuple(features)


FEATURES = _list_features()


def compute_population(trains: Trains) -> dict[str, float]:
    """Variability, autocorrelation and spectrum of the population's spike count.

    - ``population_log10_fano_<bin>_ms``: log10(variance over mean of the counts + 0.001), 0 for a Poisson process, in
      bins from 5 ms to 2 s. Fano, Physical Review 72:26 (1947), doi:10.1103/PhysRev.72.26.
    - ``population_log10_cv_<bin>_ms``: log10(standard deviation over mean + 0.001) of the same counts.
    - ``electrode_log10_fano_<bin>_ms``: the Fano factor of single electrodes with at least 5 spikes; mean and ``_std``
      over them.
    - ``population_autocorrelation_<lag>_ms``: correlation of the counts in bins of 10 ms with those a lag later, to
      200 ms; ``population_autocorrelation_coarse_<lag>_ms``: in bins of 100 ms, from 200 ms to 5 s.
    - ``population_log10_power_fraction_<from>_to_<to>_hz``: log10(fraction of the power + 10⁻⁶) in 10 bands of equal
      width in the logarithm from 0.2 to 50 Hz, of counts in 10 ms; Welch's method (Hann windows of 10.24 s, half
      overlapping, their means removed). Welch, IEEE Transactions on Audio and Electroacoustics 15:70 (1967),
      doi:10.1109/TAU.1967.1161901.

    >>> from mea.features.trains import build_trains
    >>> features = compute_population(build_trains([[0.05, 0.25, 0.45, 0.65, 0.85]], duration_s=1))
    >>> round(features["population_log10_fano_200_ms"], 6)  # one spike in each bin: no variance
    -3.0
    >>> round(features["population_autocorrelation_200_ms"], 6)  # a period of 200 ms
    1.0
    """
    features = {}
    for bin_ms in BINS_MS:
        counts = trains.count_population(bin_ms)
        mean, variance = (counts.mean(), counts.var()) if counts.any() else (NAN, NAN)
        features[f"population_log10_fano_{bin_ms}_ms"] = float(log10_offset(divide(variance, mean), OFFSET))
        features[f"population_log10_cv_{bin_ms}_ms"] = float(log10_offset(divide(np.sqrt(variance), mean), OFFSET))
    return features | _compute_electrodes(trains) | _compute_autocorrelation(trains) | _compute_spectrum(trains)


def _compute_electrodes(trains: Trains) -> dict[str, float]:
    features = {}
    enough = trains.counts >= MIN_SPIKES
    for bin_ms in ELECTRODE_BINS_MS:
        counts = trains.count_electrodes(bin_ms)[enough]
        total, squares = counts.sum(axis=1), np.einsum("ij,ij->i", counts, counts)
        mean = divide(total, counts.shape[1])
        factors = log10_offset(np.maximum(divide(squares, total) - mean, 0), OFFSET)
        features[f"electrode_log10_fano_{bin_ms}_ms"] = nanmean(factors)
        features[f"electrode_log10_fano_{bin_ms}_ms_std"] = nanstd(factors)
    return features


def _compute_autocorrelation(trains: Trains) -> dict[str, float]:
    counts = {bin_ms: trains.count_population(bin_ms) for bin_ms in LAGS_MS}
    return {name: autocorrelate(counts[bin_ms], lag_ms // bin_ms) for name, (bin_ms, lag_ms) in LAGS.items()}


def autocorrelate(counts: np.ndarray, lag: int) -> float:
    """Mean product of the deviations a lag apart over the variance; NaN for constant counts or fewer than two lags.

    >>> round(autocorrelate(np.array([0, 4, 0, 4, 0, 4]), 2), 6)
    1.0
    """
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
    bands = _sum_bands(power) if counts.any() and len(power) else np.full(len(BANDS), NAN)
    fractions = log10_offset(divide(bands, bands.sum()), OFFSET_FRACTION)
    return {f"population_log10_power_fraction_{name}": float(value) for name, value in zip(BANDS, fractions)}


def estimate_spectrum(counts: np.ndarray) -> np.ndarray:
    """(513,) power density of counts in 10 ms bins at k / 10.24 s, k = 0 to 512; empty for fewer than 1024 bins."""
    if len(counts) < SEGMENT_BINS:
        return np.zeros(0)
    _, power = welch(counts, fs=1000 / SPECTRUM_BIN_MS, nperseg=SEGMENT_BINS, detrend="constant")
    return power


def _sum_bands(power: np.ndarray) -> np.ndarray:
    frequency_hz = np.arange(len(power)) * (1000 / SPECTRUM_BIN_MS / SEGMENT_BINS)
    edges = np.searchsorted(frequency_hz, BAND_EDGES_HZ)
    return np.array([power[low:high].sum() for low, high in pairwise(edges)])


FAMILY = Family("population", FEATURES, compute_population)
