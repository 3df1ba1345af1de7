"""Network bursts: times at which many electrodes fire together."""

import numpy as np

from mea.features.nan_statistics import NAN, divide, log10_offset, min_active_electrodes, nanmean, nanmedian, nanstd
from mea.features.trains import Trains

BIN_MS = 50
ACTIVE_FRACTIONS = (0.1, 0.25)  # shares of all electrodes
SMALL_RATE = 0.1  # network bursts per minute
MIN_INTERVALS = 3


def compute_network_bursts(trains: Trains) -> dict[str, float]:
    """Network bursts: runs of 50 ms bins in each of which at least a tenth (a quarter) of all electrodes fire.

    Two runs with one bin between them are one; at least two electrodes must fire. The crossing of a threshold by the
    number of active electrodes follows the network spikes of Eytan and Marom, Journal of Neuroscience 26:8465 (2006),
    doi:10.1523/JNEUROSCI.1627-06.2006. For either share, ``network_burst_<percent>_...``:

    - ``log10_rate_per_min``: log10(network bursts per minute + 0.1);
    - ``spike_share``: share of all spikes that lie in them; ``time_share``: of the time;
    - ``log10_duration_s``, ``log10_size_per_electrode`` (spikes over all electrodes), ``peak_share`` (electrodes active
      in the fullest bin), ``peak_time`` (its middle, from 0 at the beginning to 1 at the end): mean and ``_spread``;
    - ``log10_interval_s``: median from one's beginning to the next one's; ``interval_cv``: standard deviation over mean
      of at least 3 of these intervals.
    """
    features: dict[str, float] = {}
    active, spikes = trains.count_active(BIN_MS), trains.count_population(BIN_MS)
    for crowd in ACTIVE_FRACTIONS:
        first, last = find_network_bursts(active, min_active_electrodes(crowd, trains.n_electrodes))
        measures = _measure_occurrence(first, last, spikes) | _measure_shape(first, last, active, spikes, trains)
        features |= {f"network_burst_{round(crowd * 100)}_{name}": value for name, value in measures.items()}
    return features


def find_network_bursts(active: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """First bins, and bins after the last, of the runs with at least ``least`` active electrodes."""
    above = active >= least
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
        "log10_rate_per_min": float(log10_offset(divide(len(first), minutes), SMALL_RATE)),
        "spike_share": float(divide((inside[last] - inside[first]).sum(), inside[-1])),
        "time_share": float(divide((last - first).sum(), len(spikes))),
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
        "peak_share": active[peak] / trains.n_electrodes,
        "peak_time": (peak + 0.5 - first) / (last - first),
    }
    features: dict[str, float] = {}
    for name, values in shapes.items():
        features |= {name: nanmean(values), f"{name}_spread": nanstd(values)}
    return features
