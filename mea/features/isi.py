"""Intervals between an electrode's successive spikes: how long, how regular."""

from itertools import pairwise

import numba
import numpy as np

from mea.features.nan_statistics import MIN_SPIKES, NAN, divide, nanquantile
from mea.features.trains import Trains

EDGES_MS = np.geomspace(1, 30_000, 13)
SHARES = {"q10": 0.1, "median": 0.5, "q90": 0.9}


def compute_isi(trains: Trains) -> dict[str, float]:
    """Histogram of the intervals, and their irregularity.

    - ``interval_pooled_share_<from>_to_<to>_ms``: share of all electrodes' intervals in each of 12 bins, evenly wide in
      the logarithm from 1 ms to 30 s; shorter and longer ones count in the first and in the last.
    - ``interval_electrode_share_<from>_to_<to>_ms``: the same, averaged over the electrodes with at least one interval,
      each counting alike.
    - ``interval_cv_*``: standard deviation over mean of an electrode's intervals (1 for a Poisson process, 0 for a
      clock); quantiles over the electrodes with at least 5 spikes.
    - ``interval_lv_*``: local variation 3 / (k - 1) Σ ((I_i - I_i+1) / (I_i + I_i+1))² of its k intervals (1 and 0
      again), which slow changes of the rate do not raise. Shinomoto, Shima and Tanji, Neural Computation 15:2823
      (2003), doi:10.1162/089976603322518759.
    """
    histogram = count_isi(trains.train, trains.first, EDGES_MS * trains.sampling_rate_hz / 1000)
    per_electrode = divide(histogram, histogram.sum(axis=1, keepdims=True))
    defined = per_electrode[~np.isnan(per_electrode[:, 0])]
    bins = [f"{_write(low)}_to_{_write(high)}_ms" for low, high in pairwise(EDGES_MS)]
    pooled = divide(histogram.sum(axis=0), histogram.sum())
    alike = defined.mean(axis=0) if len(defined) else np.full(len(bins), NAN)
    features = {f"interval_pooled_share_{name}": value for name, value in zip(bins, pooled)}
    features |= {f"interval_electrode_share_{name}": value for name, value in zip(bins, alike)}
    for measure, values in zip(("cv", "lv"), measure_irregularity(trains.train, trains.first)):
        quantiles = nanquantile(values, SHARES.values())
        features |= {f"interval_{measure}_{name}": value for name, value in zip(SHARES, quantiles)}
    return features


def _write(milliseconds: float) -> str:
    return f"{milliseconds:.2g}".replace(".", "p") if milliseconds < 10 else f"{milliseconds:.0f}"


@numba.njit(cache=True, nogil=True)
def count_isi(train, first, edges):
    """(n, bins) int64 intervals of each electrode between the edges (in samples); those outside in the end bins."""
    counts = np.zeros((len(first) - 1, len(edges) - 1), np.int64)
    for electrode in range(len(first) - 1):
        for spike in range(first[electrode] + 1, first[electrode + 1]):
            interval = train[spike] - train[spike - 1]
            place = 0
            while place < len(edges) - 2 and interval >= edges[place + 1]:
                place += 1
            counts[electrode, place] += 1
    return counts


@numba.njit(cache=True, nogil=True)
def measure_irregularity(train, first):
    """CV and LV of each electrode's intervals: two (n,) float64, NaN for fewer than 5 spikes."""
    cv, lv = np.full(len(first) - 1, np.nan), np.full(len(first) - 1, np.nan)
    for electrode in range(len(first) - 1):
        low, high = first[electrode], first[electrode + 1]
        if high - low < MIN_SPIKES or train[high - 1] == train[low]:
            continue
        intervals = np.diff(train[low:high])
        cv[electrode] = intervals.std() / intervals.mean()
        total = 0.0
        for place in range(1, len(intervals)):
            both = intervals[place - 1] + intervals[place]
            if both > 0:  # two spikes at one time, twice in a row, differ in nothing
                total += ((intervals[place - 1] - intervals[place]) / both) ** 2
        lv[electrode] = 3 * total / (len(intervals) - 1)
    return cv, lv
