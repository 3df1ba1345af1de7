"""Return maps: which class of inter-spike interval follows which."""

from itertools import pairwise

import numpy as np

from mea.features.feature import QUANTILES, Family, Feature, format_quantile, format_range
from mea.features.nan_statistics import NAN, average_groups, divide, nanquantile
from mea.features.trains import Trains, list_intervals, pair_successive

EDGES_MS = (0, 5, 12, 35, 110, 400, 1500)  # the last class is open
CLASSES = [f"{low}_to_{high}" for low, high in pairwise(EDGES_MS)] + [f"over_{EDGES_MS[-1]}"]
MIN_PAIRS = 20  # of successive intervals, for an electrode to count
OFFSET_MS = 0.5  # shorter intervals count as this long where logarithms are taken
SHOWN = ("q10", "median", "q90")
FEATURES = (
    *(
        Feature(
            f"return_map_root_fraction_{one}_then_{other}_ms",
            "",
            f"root of the fraction of ISIs {format_range(one)} ms followed by one {format_range(other)} ms",
        )
        for one in CLASSES
        for other in CLASSES
    ),
    *(
        Feature(
            f"return_map_serial_correlation_{name}",
            "",
            f"correlation of the logarithms of successive ISIs, {format_quantile(name)} over the electrodes",
        )
        for name in SHOWN
    ),
)


def compute_return_maps(trains: Trains) -> dict[str, float]:
    """A coarse return map of the inter-spike intervals, of electrodes with at least 20 pairs of successive intervals.

    It distinguishes repeated short intervals (bursts of an electrode) from short intervals between long ones
    (doublets), which a histogram cannot. Joint interval distribution: Perkel, Gerstein and Moore, Biophysical Journal
    7:391 (1967), doi:10.1016/S0006-3495(67)86596-2.

    - ``return_map_root_fraction_<class>_then_<class>_ms``: square root of the fraction of an electrode's pairs whose
      first and second interval lie in these classes (0, 5, 12, 35, 110, 400, 1500 ms and more); the fraction is the
      mean over the electrodes. Roots, because small fractions vary less than large ones.
    - ``return_map_serial_correlation_<quantile>``: correlation of the logarithms of successive intervals (at least
      0.5 ms); quantiles over the electrodes.

    >>> from mea.features.trains import build_trains
    >>> doublets = np.cumsum([0.003, 0.2] * 20)  # intervals of 200 and 3 ms in turn
    >>> features = compute_return_maps(build_trains([doublets], duration_s=5))
    >>> round(features["return_map_serial_correlation_median"], 6)
    -1.0
    """
    per_ms = trains.sampling_rate_hz / 1000
    pairs = count_pairs(trains.train, trains.first, np.array(EDGES_MS) * per_ms)
    total = pairs.sum(axis=(1, 2))
    enough = total >= MIN_PAIRS
    mean = (pairs[enough] / total[enough, None, None]).mean(axis=0) if enough.any() else np.full(pairs.shape[1:], NAN)
    features = {
        f"return_map_root_fraction_{one}_then_{other}_ms": float(np.sqrt(mean[row, col]))
        for row, one in enumerate(CLASSES)
        for col, other in enumerate(CLASSES)
    }
    serial = correlate_successive(trains.train, trains.first, OFFSET_MS * trains.sampling_rate_hz / 1000)[enough]
    quantiles = nanquantile(serial, [QUANTILES[name] for name in SHOWN])
    return features | {f"return_map_serial_correlation_{name}": value for name, value in zip(SHOWN, quantiles)}


def count_pairs(train: np.ndarray, first: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n, classes, classes) int64 pairs of successive intervals by the class of either; edges in samples, from 0."""
    interval, electrode = list_intervals(train, first)
    n, n_classes = len(first) - 1, len(edges)
    place = np.searchsorted(edges[1:], interval, side="right")
    one, other, of_pair = pair_successive(place, electrode)
    counts = np.bincount((of_pair * n_classes + one) * n_classes + other, minlength=n * n_classes**2)
    return counts.reshape(n, n_classes, n_classes)


def correlate_successive(train: np.ndarray, first: np.ndarray, small: float) -> np.ndarray:
    """(n,) Pearson correlation of the logarithms of successive intervals (at least ``small``); NaN if constant."""
    interval, electrode = list_intervals(train, first)
    logs = np.log(np.maximum(interval, small))
    one, other, of_pair = pair_successive(logs, electrode)
    n = len(first) - 1
    one, other = (values - average_groups(values, of_pair, n)[of_pair] for values in (one, other))
    covariance, *variances = (np.bincount(of_pair, values, n) for values in (one * other, one**2, other**2))
    product = variances[0] * variances[1]
    return np.where(product > 1e-20, divide(covariance, np.sqrt(product)), NAN)  # rounding alone is smaller


FAMILY = Family("return_maps", FEATURES, compute_return_maps)
