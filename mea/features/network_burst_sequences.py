"""The sequence of network bursts: how far apart, how long, and what depends on the one before."""

from itertools import pairwise

import numpy as np

from mea.features.correlations import correlate
from mea.features.nan_statistics import NAN, min_active_electrodes, nanskew, nanstd
from mea.features.network_bursts import ACTIVE_FRACTIONS, BIN_MS, find_network_bursts
from mea.features.trains import Trains

INTERVAL_EDGES_S = (0.0, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0, 20.0, 40.0)  # the last class is open
DURATION_EDGES_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
MIN_BURSTS = 3  # intervals, or bursts, for a histogram
MIN_PAIRS = 5  # for a correlation


def compute_network_burst_sequences(trains: Trains) -> dict[str, float]:
    """The bursts of :mod:`mea.features.network_bursts` one after the other: ``network_sequence_<percent>_...``.

    - ``root_share_interval_<from>_to_<to>_s``: square root of the share of the intervals, from one's beginning to the
      next one's, in each of 9 classes; ``root_share_duration_<from>_to_<to>_s``: of the durations in 7. Of at least 3.
    - ``interval_log10_spread``, ``size_log10_spread``, ``size_log10_skew``: standard deviation of log10(interval) and
      of log10(spikes), and the latter's third standardised moment. ``interval_lv``: local variation, as of single
      electrodes (Shinomoto, Shima and Tanji 2003, doi:10.1162/089976603322518759).
    - ``size_after_pause``, ``size_before_pause``: correlation of a pause's logarithm with that of the spikes of the
      burst after it, and before it. Bursts that depend on the pause before speak for recovery, pauses that depend on
      the burst before for exhaustion: Tabak, Rinzel and O'Donovan, Journal of Neuroscience 21:8966 (2001),
      doi:10.1523/JNEUROSCI.21-22-08966.2001.
    - ``interval_serial``, ``size_serial``: correlation of the logarithm with that of the next interval, or burst.
    """
    features: dict[str, float] = {}
    active, spikes = trains.count_active(BIN_MS), trains.count_population(BIN_MS)
    inside = np.concatenate([[0], np.cumsum(spikes)])
    for crowd in ACTIVE_FRACTIONS:
        first, last = find_network_bursts(active, min_active_electrodes(crowd, trains.n_electrodes))
        measures = _count_classes("interval", np.diff(first), INTERVAL_EDGES_S)
        measures |= _count_classes("duration", last - first, DURATION_EDGES_S)
        measures |= _measure_sequence(first, last, np.log10(inside[last] - inside[first]))
        features |= {f"network_sequence_{round(crowd * 100)}_{name}": value for name, value in measures.items()}
    return features


def _count_classes(what: str, bins: np.ndarray, edges_s: tuple[float, ...]) -> dict[str, float]:
    """Root of the share of (k,) lengths, in bins, in each class."""
    edges = np.array([round(edge * 1000 / BIN_MS) for edge in edges_s])
    counts = np.bincount(np.searchsorted(edges, bins, side="right") - 1, minlength=len(edges))
    shares = np.sqrt(counts / len(bins)) if len(bins) >= MIN_BURSTS else np.full(len(edges), NAN)
    names = [f"{low:g}_to_{high:g}_s" for low, high in pairwise(edges_s)] + [f"over_{edges_s[-1]:g}_s"]
    return {f"root_share_{what}_{name.replace('.', 'p')}": float(share) for name, share in zip(names, shares)}


def _measure_sequence(first: np.ndarray, last: np.ndarray, size: np.ndarray) -> dict[str, float]:
    interval = np.diff(first)
    logs, pause = np.log10(interval), np.log10(first[1:] - last[:-1])
    change = (interval[1:] - interval[:-1]) / (interval[1:] + interval[:-1])
    return {
        "interval_log10_spread": nanstd(logs) if len(logs) >= MIN_BURSTS else NAN,
        "interval_lv": float(3 * (change**2).mean()) if len(interval) > MIN_BURSTS else NAN,
        "interval_serial": _correlate(logs[1:], logs[:-1]),
        "size_log10_spread": nanstd(size) if len(size) >= MIN_BURSTS else NAN,
        "size_log10_skew": nanskew(size) if len(size) >= MIN_PAIRS else NAN,
        "size_serial": _correlate(size[1:], size[:-1]),
        "size_after_pause": _correlate(pause, size[1:]),
        "size_before_pause": _correlate(pause, size[:-1]),
    }


def _correlate(one: np.ndarray, other: np.ndarray) -> float:
    return correlate(one, other) if len(one) >= MIN_PAIRS else NAN
