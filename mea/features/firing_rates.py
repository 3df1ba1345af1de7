"""How the firing rate is spread over the electrodes, and over the grid."""

import numpy as np

from mea.features.nan_statistics import NAN, divide, log10_offset, nanquantile, nanstd
from mea.features.trains import Trains

SMALL_HZ = 0.01
ACTIVE_HZ = (0.01, 0.1, 1)
SHARES = {"q10": 0.1, "q25": 0.25, "median": 0.5, "q75": 0.75, "q90": 0.9}


def compute_firing_rates(trains: Trains) -> dict[str, float]:
    """Rates of all electrodes, silent ones included, in Hz.

    - ``rate_log10_mean_hz``: log10(mean over the electrodes + 0.01).
    - ``rate_log10_<quantile>_hz``, ``rate_log10_spread``: quantiles and standard deviation of log10(rate + 0.01).
    - ``rate_active_share_<limit>_hz``: share of the electrodes that fire at the limit or above.
    - ``rate_gini``: Gini coefficient, 0 where all fire alike, 1 - 1/n where one of n fires alone. Gini, Variabilità e
      mutabilità (1912); as in Dixon, Weiner, Mitchell-Olds and Woodley, Ecology 68:1548 (1987), doi:10.2307/1939238.
    - ``rate_morans_i``, ``rate_log10_morans_i``: Moran's I of the rates and of log10(rate + 0.01), neighbours being the
      electrodes one step along a row or a column: positive where neighbours fire alike, negative where they differ,
      -1 / (n - 1) on average for random places. Moran, Biometrika 37:17 (1950), doi:10.2307/2332142.
    """
    firing_rates_hz = trains.counts / trains.duration_s
    logs = log10_offset(firing_rates_hz, SMALL_HZ)
    features = {"rate_log10_mean_hz": float(log10_offset(firing_rates_hz.mean(), SMALL_HZ))}
    features |= {f"rate_log10_{name}_hz": value for name, value in zip(SHARES, nanquantile(logs, SHARES.values()))}
    features["rate_log10_spread"] = nanstd(logs)
    for limit_hz in ACTIVE_HZ:
        name = f"rate_active_share_{limit_hz:g}_hz".replace(".", "p")
        features[name] = float((firing_rates_hz >= limit_hz).mean())
    features["rate_gini"] = measure_gini(firing_rates_hz)
    features["rate_morans_i"] = measure_morans_i(firing_rates_hz, trains.row, trains.col)
    features["rate_log10_morans_i"] = measure_morans_i(logs, trains.row, trains.col)
    return features


def measure_gini(values: np.ndarray) -> float:
    """Gini coefficient of (n,) values from 0: mean difference of two over twice the mean; NaN for zeros only."""
    ordered, n = np.sort(values), len(values)
    return float(divide(np.sum((2 * np.arange(1, n + 1) - n - 1) * ordered), n * ordered.sum()))


def measure_morans_i(values: np.ndarray, row: np.ndarray, col: np.ndarray) -> float:
    """Moran's I of (n,) values at places of the grid; NaN where no two are neighbours or all values are equal."""
    steps = np.abs(np.subtract.outer(row, row)) + np.abs(np.subtract.outer(col, col))
    weights = (steps == 1).astype(np.float64)
    if not np.ptp(values) > 0 or not weights.any():
        return NAN
    deviation = values - values.mean()
    return float(len(values) / weights.sum() * (deviation @ weights @ deviation) / (deviation @ deviation))
