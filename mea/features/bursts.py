"""Bursts of single electrodes: at least five spikes in close succession."""

import numba
import numpy as np

from mea.features.nan_statistics import NAN, divide, group_cv, log10_offset, nanmean, nanmedian, nanstd
from mea.features.trains import Trains

LIMITS_MS = (20, 100)
MIN_SIZE = 5
MIN_INTERVALS = 3
SMALL_RATE = 0.1  # bursts per minute


def compute_bursts(trains: Trains) -> dict[str, float]:
    """Bursts by maximum interval: runs of at least 5 spikes, each within 20 (and again 100) ms of the one before.

    Burst detection with a limit on the interval, as compared in Cotterill, Charlesworth, Thomas, Paulsen and Eglen,
    Journal of Neurophysiology 116:306 (2016), doi:10.1152/jn.00093.2016. For either limit, ``burst_<limit>_ms_...``:

    - ``log10_rate_per_min``: log10(bursts per minute + 0.1), averaged over all electrodes, and ``_spread`` over them;
    - ``electrode_share``: share of all electrodes that burst;
    - ``spike_share``: share of all spikes that lie in bursts; ``spike_share_electrode``: averaged over the electrodes
      that fire, each counting alike;
    - ``log10_size`` (spikes), ``log10_duration_s`` (first to last spike), ``log10_firing_rate_hz`` (intervals over
      duration): mean and ``_spread`` over all bursts;
    - ``log10_interval_s``: median over all intervals from one burst's beginning to the next one's on its electrode;
    - ``interval_cv``: regularity, the standard deviation over the mean of these intervals; median over the electrodes
      with at least 3 of them.
    """
    features: dict[str, float] = {}
    for limit_ms in LIMITS_MS:
        bursts = find_bursts(trains.train, trains.first, limit_ms * trains.sampling_rate_hz / 1000, MIN_SIZE)
        measures = _measure_occurrence(trains, *bursts) | _measure_shape(trains, *bursts[1:])
        measures |= _measure_regularity(trains, *bursts[:2])
        features |= {f"burst_{limit_ms}_ms_{name}": value for name, value in measures.items()}
    return features


def _measure_occurrence(trains: Trains, electrode: np.ndarray, first: np.ndarray, last: np.ndarray) -> dict:
    n = trains.n_electrodes
    per_minute = np.bincount(electrode, minlength=n) / (trains.duration_s / 60)
    inside = np.bincount(electrode, last - first + 1, n)
    return {
        "log10_rate_per_min": nanmean(log10_offset(per_minute, SMALL_RATE)),
        "log10_rate_per_min_spread": nanstd(log10_offset(per_minute, SMALL_RATE)),
        "electrode_share": float((per_minute > 0).mean()),
        "spike_share": divide(inside.sum(), len(trains.sample)),
        "spike_share_electrode": nanmean(divide(inside, trains.counts)),
    }


def _measure_shape(trains: Trains, first: np.ndarray, last: np.ndarray) -> dict:
    # Spikes of one sample (two units of an electrode) must not divide by zero.
    duration_s = np.maximum(trains.train[last] - trains.train[first], 1) / trains.sampling_rate_hz
    size = last - first + 1
    shapes = {"size": size, "duration_s": duration_s, "firing_rate_hz": (size - 1) / duration_s}
    features: dict[str, float] = {}
    for name, values in shapes.items():
        features[f"log10_{name}"] = nanmean(np.log10(values))
        features[f"log10_{name}_spread"] = nanstd(np.log10(values))
    return features


def _measure_regularity(trains: Trains, electrode: np.ndarray, first: np.ndarray) -> dict:
    same = electrode[1:] == electrode[:-1]
    interval_s = np.diff(trains.train[first])[same] / trains.sampling_rate_hz
    cv = group_cv(interval_s, electrode[1:][same], trains.n_electrodes, MIN_INTERVALS)
    median = nanmedian(interval_s)
    return {"log10_interval_s": float(np.log10(median)) if median > 0 else NAN, "interval_cv": nanmedian(cv)}


@numba.njit(cache=True, nogil=True)
def find_bursts(train, first, limit, least):
    """Bursts of each electrode: runs of at least ``least`` spikes, each at most ``limit`` samples after the one before.

    Returns three (bursts,) int64: the electrode, and the numbers within ``train`` of the first and of the last spike.
    """
    most = len(train) // least
    electrodes, firsts, lasts = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for electrode in range(len(first) - 1):
        begin = first[electrode]
        for spike in range(first[electrode] + 1, first[electrode + 1] + 1):
            ends = spike == first[electrode + 1] or train[spike] - train[spike - 1] > limit
            if ends:
                if spike - begin >= least:
                    electrodes[count], firsts[count], lasts[count] = electrode, begin, spike - 1
                    count += 1
                begin = spike
    return electrodes[:count], firsts[:count], lasts[:count]
