"""How firing rates are distributed over the electrodes and over the grid."""

import numpy as np

from mea.features.feature import QUANTILES, Family, Feature, format_quantile
from mea.features.nan_statistics import NAN, divide, log10_offset, nanquantile, nanstd
from mea.features.trains import Trains

OFFSET_HZ = 0.01
ACTIVE_HZ = (0.01, 0.1, 1)
ACTIVE = {f"firing_rate_active_fraction_{limit:g}_hz".replace(".", "p"): limit for limit in ACTIVE_HZ}
FEATURES = (
    Feature("firing_rate_log10_mean_hz", "log10(Hz)", "mean firing rate of all electrodes + 0.01 Hz"),
    *(
        Feature(
            f"firing_rate_log10_{name}_hz",
            "log10(Hz)",
            f"firing rate + 0.01 Hz, {format_quantile(name)} over all electrodes",
        )
        for name in QUANTILES
    ),
    Feature("firing_rate_log10_std", "log10(Hz)", "firing rate + 0.01 Hz, standard deviation over all electrodes"),
    *(
        Feature(name, "", f"fraction of all electrodes that fire at {limit:g} Hz or above")
        for name, limit in ACTIVE.items()
    ),
    Feature("firing_rate_gini", "", "Gini coefficient of the firing rates"),
    Feature("firing_rate_morans_i", "", "Moran's I of the firing rates: positive where neighbours fire alike"),
    Feature("firing_rate_log10_morans_i", "", "Moran's I of log10(firing rate + 0.01 Hz)"),
)


def compute_firing_rates(trains: Trains) -> dict[str, float]:
    """Firing rates of all electrodes, silent ones included, in Hz.

    - ``firing_rate_log10_mean_hz``: log10(mean over the electrodes + 0.01).
    - ``firing_rate_log10_<quantile>_hz``, ``firing_rate_log10_std``: of log10(rate + 0.01) over the electrodes.
    - ``firing_rate_active_fraction_<limit>_hz``: electrodes that fire at the limit or above.
    - ``firing_rate_gini``: 0 where all electrodes fire at one rate, 1 - 1/n where one of n fires alone. Gini,
      Variabilità e mutabilità (1912); as in Dixon, Weiner, Mitchell-Olds and Woodley, Ecology 68:1548 (1987),
      doi:10.2307/1939238.
    - ``firing_rate_morans_i``, ``firing_rate_log10_morans_i``: Moran's I with 4 neighbours (one step along a row or a
      column): positive where neighbours fire alike, negative where they differ, -1 / (n - 1) on average for random
      places. Moran, Biometrika 37:17 (1950), doi:10.2307/2332142.

    >>> from mea.features.trains import build_trains
    >>> features = compute_firing_rates(build_trains([[0.1, 0.2, 0.3], [0.5], [], []], duration_s=1))
    >>> features["firing_rate_active_fraction_1_hz"], round(features["firing_rate_log10_mean_hz"], 3)
    (0.5, 0.004)
    """
    firing_rates_hz = trains.counts / trains.duration_s
    logs = log10_offset(firing_rates_hz, OFFSET_HZ)
    quantiles = zip(QUANTILES, nanquantile(logs, QUANTILES.values()))
    features = {"firing_rate_log10_mean_hz": float(log10_offset(firing_rates_hz.mean(), OFFSET_HZ))}
    features |= {f"firing_rate_log10_{name}_hz": value for name, value in quantiles}
    features["firing_rate_log10_std"] = nanstd(logs)
    features |= {name: float((firing_rates_hz >= limit_hz).mean()) for name, limit_hz in ACTIVE.items()}
    features["firing_rate_gini"] = compute_gini(firing_rates_hz)
    features["firing_rate_morans_i"] = compute_morans_i(firing_rates_hz, trains.row, trains.col)
    features["firing_rate_log10_morans_i"] = compute_morans_i(logs, trains.row, trains.col)
    return features


def compute_gini(values: np.ndarray) -> float:
    """Gini coefficient of (n,) values from 0: mean difference of two over twice the mean; NaN for zeros only.

    >>> compute_gini(np.array([0, 0, 0, 5]))
    0.75
    """
    ordered, n = np.sort(values), len(values)
    return float(divide(np.sum((2 * np.arange(1, n + 1) - n - 1) * ordered), n * ordered.sum()))


def compute_morans_i(values: np.ndarray, row: np.ndarray, col: np.ndarray) -> float:
    """Moran's I of (n,) values at places of the grid; NaN where no two are neighbours or all values are equal.

    Neighbours are the 4 places one step along a row or a column (rook contiguity), as is usual for Moran's I. The
    networks' channel ``active_neighbours`` counts diagonal neighbours as well:
    :func:`mea.networks.channels.find_touching_pairs`.

    >>> compute_morans_i(np.array([1, 0, 0, 1]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))  # a checkerboard
    -1.0
    """
    there = np.zeros((row.max(initial=0) + 1, col.max(initial=0) + 1), bool)
    there[row, col] = True
    n_pairs = np.sum(there[1:] & there[:-1]) + np.sum(there[:, 1:] & there[:, :-1])
    if not np.ptp(values) > 0 or not n_pairs:
        return NAN
    deviation = np.zeros(there.shape)
    deviation[row, col] = values - values.mean()
    products = np.sum(deviation[1:] * deviation[:-1]) + np.sum(deviation[:, 1:] * deviation[:, :-1])
    return float(len(values) / n_pairs * products / np.sum(deviation**2))


FAMILY = Family("firing_rates", FEATURES, compute_firing_rates)
