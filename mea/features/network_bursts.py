"""Network bursts: times at which many electrodes fire together."""

import numpy as np

from mea.features.feature import Family, list_measures
from mea.features.nan_statistics import (
    NAN,
    divide,
    log10_offset,
    min_active_electrodes,
    nanmean,
    nanmedian,
    nanstd,
)
from mea.features.trains import Trains

BIN_MS = 50
ACTIVE_FRACTIONS = (0.1, 0.25)  # of all electrodes
OFFSET_PER_MIN = 0.1  # network bursts per minute
MIN_INTERVALS = 3
OCCURRENCE = {
    "log10_rate_per_min": ("log10(1/min)", "network bursts per minute + 0.1"),
    "spike_fraction": ("", "fraction of all spikes that lie in network bursts"),
    "time_fraction": ("", "fraction of the time in network bursts"),
    "log10_interval_s": ("log10(s)", "from the start of a network burst to the next one's, median"),
    "interval_cv": ("", "coefficient of variation of these intervals"),
}
SHAPE = {
    "log10_duration_s": ("log10(s)", "duration"),
    "log10_size_per_electrode": ("log10(spikes)", "spikes over the number of all electrodes"),
    "peak_fraction": ("", "fraction of all electrodes active in the fullest bin"),
    "peak_time": ("", "middle of the fullest bin, from 0 (start) to 1 (end)"),
}
FEATURES = tuple(
    feature
    for fraction in ACTIVE_FRACTIONS
    for measures, std_over in ((OCCURRENCE, ""), (SHAPE, "network bursts"))
    for feature in list_measures(
        f"network_burst_{round(fraction * 100)}",
        measures,
        f"at least {round(fraction * 100)} % of all electrodes active in {BIN_MS} ms",
        std_over,
    )
)


def compute_network_bursts(trains: Trains) -> dict[str, float]:
    """Network bursts: runs of 50 ms bins in each of which at least 10 % (25 %) of all electrodes fire.

    Two runs with one bin between them are one; at least two electrodes must fire. The crossing of a threshold by the
    number of active electrodes follows the network spikes of Eytan and Marom, Journal of Neuroscience 26:8465 (2006),
    doi:10.1523/JNEUROSCI.1627-06.2006. The features ``network_burst_<percent>_...`` are listed in ``FEATURES``. The
    coefficient of variation needs at least 3 intervals.

    >>> from mea.features.trains import build_trains
    >>> features = compute_network_bursts(build_trains([[1.01, 5.01], [1.02, 5.02]], duration_s=10))
    >>> features["network_burst_10_time_fraction"]  # two bins of 200
    0.01
    """
    features: dict[str, float] = {}
    active, spikes = trains.count_active(BIN_MS), trains.count_population(BIN_MS)
    for fraction in ACTIVE_FRACTIONS:
        first, last = find_network_bursts(active, min_active_electrodes(fraction, trains.n_electrodes))
        measures = _measure_occurrence(first, last, spikes) | _measure_shape(first, last, active, spikes, trains)
        features |= {f"network_burst_{round(fraction * 100)}_{name}": value for name, value in measures.items()}
    return features


def find_network_bursts(active: np.ndarray, min_active: int) -> tuple[np.ndarray, np.ndarray]:
    """First bins, and bins after the last, of the runs with at least ``min_active`` active electrodes.

    >>> first, stop = find_network_bursts(np.array([0, 5, 0, 5, 0, 0, 5]), 3)  # one bin between two runs is bridged
    >>> first.tolist(), stop.tolist()
    ([1, 6], [4, 7])
    """
    above = active >= min_active
    filled = above.copy()
    filled[1:-1] |= above[:-2] & above[2:]
    edges = np.diff(np.concatenate([[0], filled.astype(np.int8), [0]]))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)


def _measure_occurrence(first: np.ndarray, last: np.ndarray, spikes: np.ndarray) -> dict[str, float]:
    minutes = len(spikes) * BIN_MS / 60_000
    inside = np.concatenate([[0], np.cumsum(spikes)])
    interval_s = np.diff(first) * (BIN_MS / 1000)
    median = nanmedian(interval_s)
    enough = len(interval_s) >= MIN_INTERVALS
    return {
        "log10_rate_per_min": float(log10_offset(divide(len(first), minutes), OFFSET_PER_MIN)),
        "spike_fraction": float(divide((inside[last] - inside[first]).sum(), inside[-1])),
        "time_fraction": float(divide((last - first).sum(), len(spikes))),
        "log10_interval_s": float(np.log10(median)),
        "interval_cv": float(interval_s.std() / interval_s.mean()) if enough else NAN,
    }


def _measure_shape(
    first: np.ndarray, last: np.ndarray, active: np.ndarray, spikes: np.ndarray, trains: Trains
) -> dict[str, float]:
    inside = np.concatenate([[0], np.cumsum(spikes)])
    peak = np.array([low + active[low:high].argmax() for low, high in zip(first, last)], np.int64)
    shapes = {
        "log10_duration_s": np.log10((last - first) * (BIN_MS / 1000)),
        "log10_size_per_electrode": np.log10((inside[last] - inside[first]) / trains.n_electrodes),
        "peak_fraction": active[peak] / trains.n_electrodes,
        "peak_time": (peak + 0.5 - first) / (last - first),
    }
    features: dict[str, float] = {}
    for name, values in shapes.items():
        features |= {name: nanmean(values), f"{name}_std": nanstd(values)}
    return features


FAMILY = Family("network_bursts", FEATURES, compute_network_bursts)
