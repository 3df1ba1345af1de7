"""Inter-spike intervals (ISIs): how long, how regular."""

from itertools import pairwise

import numpy as np

from mea.features.feature import QUANTILES, Family, Feature, format_quantile, format_range
from mea.features.nan_statistics import MIN_SPIKES, NAN, average_groups, compute_group_cv, divide, nanquantile
from mea.features.trains import Trains, list_intervals, pair_successive

EDGES_MS = np.geomspace(1, 30_000, 13)
SHOWN = ("q10", "median", "q90")


def _format_ms(milliseconds: float) -> str:
    return f"{milliseconds:.2g}".replace(".", "p") if milliseconds < 10 else f"{milliseconds:.0f}"


BINS = [f"{_format_ms(low)}_to_{_format_ms(high)}_ms" for low, high in pairwise(EDGES_MS)]
IRREGULARITY = {"cv": "coefficient of variation", "lv": "local variation"}
FEATURES = (
    *(Feature(f"isi_pooled_fraction_{name}", "", f"fraction of all ISIs in {format_range(name)}") for name in BINS),
    *(
        Feature(
            f"isi_electrode_fraction_{name}",
            "",
            f"fraction of an electrode's ISIs in {format_range(name)}, mean over the electrodes",
        )
        for name in BINS
    ),
    *(
        Feature(f"isi_{measure}_{name}", "", f"{words} of an electrode's ISIs, {format_quantile(name)}")
        for measure, words in IRREGULARITY.items()
        for name in SHOWN
    ),
)


def compute_isi(trains: Trains) -> dict[str, float]:
    """Histogram of the inter-spike intervals, and how irregular they are.

    - ``isi_pooled_fraction_<from>_to_<to>_ms``: intervals of all electrodes together, in 12 bins of equal width in the
      logarithm from 1 ms to 30 s. Shorter intervals count in the first bin, longer ones in the last.
    - ``isi_electrode_fraction_<from>_to_<to>_ms``: the same histogram of each electrode that has an interval, averaged
      over these electrodes.
    - ``isi_cv_<quantile>``: standard deviation over mean of an electrode's intervals, 1 for a Poisson process and 0 for
      a clock. Quantiles over the electrodes with at least 5 spikes.
    - ``isi_lv_<quantile>``: local variation 3 / (k - 1) Σ ((I_i - I_i+1) / (I_i + I_i+1))² of k intervals, also 1 and
      0. Slow changes of the rate do not raise it. Shinomoto, Shima and Tanji, Neural Computation 15:2823 (2003),
      doi:10.1162/089976603322518759.

    >>> from mea.features.trains import build_trains
    >>> features = compute_isi(build_trains([[0.1, 0.2, 0.3, 0.4, 0.5], [0.25, 0.255]], duration_s=1))
    >>> round(features["isi_pooled_fraction_73_to_173_ms"], 3)  # four of five intervals
    0.8
    >>> features["isi_cv_median"]  # of the electrode with five spikes
    0.0
    """
    histogram = count_isi(trains.train, trains.first, EDGES_MS * trains.sampling_rate_hz / 1000)
    per_electrode = divide(histogram, histogram.sum(axis=1, keepdims=True))
    defined = per_electrode[~np.isnan(per_electrode[:, 0])]
    pooled = divide(histogram.sum(axis=0), histogram.sum())
    mean = defined.mean(axis=0) if len(defined) else np.full(len(BINS), NAN)
    features = {f"isi_pooled_fraction_{name}": float(value) for name, value in zip(BINS, pooled)}
    features |= {f"isi_electrode_fraction_{name}": float(value) for name, value in zip(BINS, mean)}
    for measure, values in zip(IRREGULARITY, compute_cv_lv(trains.train, trains.first)):
        quantiles = nanquantile(values, [QUANTILES[name] for name in SHOWN])
        features |= {f"isi_{measure}_{name}": value for name, value in zip(SHOWN, quantiles)}
    return features


def count_isi(train: np.ndarray, first: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """(n, bins) int64 intervals of each electrode between the edges (in samples); those outside in the end bins."""
    interval, electrode = list_intervals(train, first)
    n, n_bins = len(first) - 1, len(edges) - 1
    place = np.searchsorted(edges[1:-1], interval, side="right")
    return np.bincount(electrode * n_bins + place, minlength=n * n_bins).reshape(n, n_bins)


def compute_cv_lv(train: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """CV and LV of each electrode's intervals: two (n,) float64, NaN for fewer than 5 spikes."""
    interval, electrode = list_intervals(train, first)
    n = len(first) - 1
    cv = compute_group_cv(interval, electrode, n, MIN_SPIKES - 1)
    one, other, of_pair = pair_successive(interval, electrode)
    contrast = np.nan_to_num(divide(one - other, one + other))  # two pairs of spikes at one time each: no difference
    lv = 3 * average_groups(contrast**2, of_pair, n)
    return cv, np.where(np.isnan(cv), NAN, lv)


FAMILY = Family("isi", FEATURES, compute_isi)
