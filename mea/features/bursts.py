"""Bursts of single electrodes: at least five spikes in close succession."""

import numpy as np

from mea.features.feature import Family, list_measures
from mea.features.nan_statistics import NAN, compute_group_cv, divide, log10_offset, nanmean, nanmedian, nanstd
from mea.features.trains import Trains, pair_successive
from mea.runtime.compiled import compiled

MAX_ISI_MS = (20, 100)
MIN_SIZE = 5
MIN_INTERVALS = 3
OFFSET_PER_MIN = 0.1  # bursts per minute
MEASURES = {
    "log10_rate_per_min": ("log10(1/min)", "bursts per minute of an electrode + 0.1, mean over all electrodes"),
    "log10_rate_per_min_std": ("log10(1/min)", "the same, standard deviation over all electrodes"),
    "electrode_fraction": ("", "fraction of all electrodes that burst"),
    "spike_fraction": ("", "fraction of all spikes that lie in bursts"),
    "spike_fraction_electrode": ("", "fraction of an electrode's spikes in bursts, mean over the electrodes that fire"),
    "log10_size": ("log10(spikes)", "spikes of a burst, mean over the bursts"),
    "log10_size_std": ("log10(spikes)", "spikes of a burst, standard deviation over the bursts"),
    "log10_duration_s": ("log10(s)", "first to last spike of a burst, mean over the bursts"),
    "log10_duration_s_std": ("log10(s)", "first to last spike of a burst, standard deviation over the bursts"),
    "log10_firing_rate_hz": ("log10(Hz)", "firing rate within a burst, mean over the bursts"),
    "log10_firing_rate_hz_std": ("log10(Hz)", "firing rate within a burst, standard deviation over the bursts"),
    "log10_interval_s": ("log10(s)", "from the start of a burst to the next one's on its electrode, median"),
    "interval_cv": ("", "coefficient of variation of these intervals, median over the electrodes"),
}
FEATURES = tuple(
    feature
    for limit_ms in MAX_ISI_MS
    for feature in list_measures(f"burst_{limit_ms}_ms", MEASURES, f"bursts: ISIs up to {limit_ms} ms")
)


def compute_bursts(trains: Trains) -> dict[str, float]:
    """Bursts by maximum interval: runs of at least 5 spikes, each within 20 (and again 100) ms of the one before.

    Burst detection with a limit on the interval, as compared in Cotterill, Charlesworth, Thomas, Paulsen and Eglen,
    Journal of Neurophysiology 116:306 (2016), doi:10.1152/jn.00093.2016. The features ``burst_<limit>_ms_...`` are
    listed in ``FEATURES``. The firing rate within a burst is its number of intervals over its duration. The intervals
    between bursts have a coefficient of variation on electrodes with at least 3 of them.

    >>> from mea.features.trains import build_trains
    >>> burst = [0.50, 0.51, 0.52, 0.53, 0.54]
    >>> features = compute_bursts(build_trains([[*burst, 2.0], [1.0]], duration_s=60))
    >>> features["burst_20_ms_electrode_fraction"], round(features["burst_20_ms_spike_fraction"], 3)  # 5 of 7 spikes
    (0.5, 0.714)
    """
    features: dict[str, float] = {}
    for limit_ms in MAX_ISI_MS:
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
        "log10_rate_per_min": nanmean(log10_offset(per_minute, OFFSET_PER_MIN)),
        "log10_rate_per_min_std": nanstd(log10_offset(per_minute, OFFSET_PER_MIN)),
        "electrode_fraction": float((per_minute > 0).mean()),
        "spike_fraction": float(divide(inside.sum(), len(trains.sample))),
        "spike_fraction_electrode": nanmean(divide(inside, trains.counts)),
    }


def _measure_shape(trains: Trains, first: np.ndarray, last: np.ndarray) -> dict:
    # Spikes of one sample (two units of an electrode) must not divide by zero.
    duration_s = np.maximum(trains.train[last] - trains.train[first], 1) / trains.sampling_rate_hz
    size = last - first + 1
    shapes = {"size": size, "duration_s": duration_s, "firing_rate_hz": (size - 1) / duration_s}
    features: dict[str, float] = {}
    for name, values in shapes.items():
        features[f"log10_{name}"] = nanmean(np.log10(values))
        features[f"log10_{name}_std"] = nanstd(np.log10(values))
    return features


def _measure_regularity(trains: Trains, electrode: np.ndarray, first: np.ndarray) -> dict:
    one, other, of_pair = pair_successive(trains.train[first], electrode)
    interval_s = (other - one) / trains.sampling_rate_hz
    cv = compute_group_cv(interval_s, of_pair, trains.n_electrodes, MIN_INTERVALS)
    median = nanmedian(interval_s)
    return {"log10_interval_s": float(np.log10(median)) if median > 0 else NAN, "interval_cv": nanmedian(cv)}


@compiled
def find_bursts(train, first, limit, min_size):
    """Bursts of each electrode: at least ``min_size`` spikes, each at most ``limit`` samples after the one before.

    Returns three (bursts,) int64: the electrode, and the numbers within ``train`` of the first and of the last spike.
    """
    most = len(train) // min_size
    electrodes, firsts, lasts = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    count = 0
    for electrode in range(len(first) - 1):
        begin = first[electrode]
        for spike in range(first[electrode] + 1, first[electrode + 1] + 1):
            ends = spike == first[electrode + 1] or train[spike] - train[spike - 1] > limit
            if ends:
                if spike - begin >= min_size:
                    electrodes[count], firsts[count], lasts[count] = electrode, begin, spike - 1
                    count += 1
                begin = spike
    return electrodes[:count], firsts[:count], lasts[:count]


FAMILY = Family("bursts", FEATURES, compute_bursts)
