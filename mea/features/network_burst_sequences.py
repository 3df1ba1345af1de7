"""The sequence of network bursts: intervals between them, their durations, and what depends on the one before."""

from itertools import pairwise

import numpy as np

from mea.features.correlations import correlate
from mea.features.feature import Family, format_range, list_measures
from mea.features.nan_statistics import NAN, min_active_electrodes, nanskew, nanstd
from mea.features.network_bursts import ACTIVE_FRACTIONS, BIN_MS, find_network_bursts
from mea.features.trains import Trains

INTERVAL_EDGES_S = (0.0, 0.3, 0.6, 1.2, 2.5, 5.0, 10.0, 20.0, 40.0)  # the last class is open
DURATION_EDGES_S = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
MIN_COUNT = 3  # intervals, or bursts, for a histogram
MIN_PAIRS = 5  # for a correlation


def _name_classes(edges_s: tuple[float, ...]) -> list[str]:
    names = [f"{low:g}_to_{high:g}_s" for low, high in pairwise(edges_s)] + [f"over_{edges_s[-1]:g}_s"]
    return [name.replace(".", "p") for name in names]


CLASSES = {"interval": INTERVAL_EDGES_S, "duration": DURATION_EDGES_S}
MEASURES = {
    **{
        f"root_fraction_{what}_{name}": ("", f"square root of the fraction of {what}s of {format_range(name)}")
        for what, edges_s in CLASSES.items()
        for name in _name_classes(edges_s)
    },
    "interval_log10_std": ("log10(s)", "interval from start to start, standard deviation"),
    "interval_lv": ("", "local variation of the intervals"),
    "interval_serial_correlation": ("", "correlation of log10(interval) with the next interval's"),
    "size_log10_std": ("log10(spikes)", "spikes of a network burst, standard deviation"),
    "size_log10_skew": ("", "log10(spikes of a network burst), third standardised moment"),
    "size_serial_correlation": ("", "correlation of log10(spikes) with the next burst's"),
    "size_after_pause": ("", "correlation of log10(pause) with log10(spikes) of the burst after it"),
    "size_before_pause": ("", "correlation of log10(pause) with log10(spikes) of the burst before it"),
}
FEATURES = tuple(
    feature
    for fraction in ACTIVE_FRACTIONS
    for feature in list_measures(
        f"network_sequence_{round(fraction * 100)}",
        MEASURES,
        f"network bursts: at least {round(fraction * 100)} % of all electrodes active in {BIN_MS} ms",
    )
)


def compute_network_burst_sequences(trains: Trains) -> dict[str, float]:
    """The bursts of :mod:`mea.features.network_bursts`, one after the other: ``network_sequence_<percent>_...``.

    - ``root_fraction_interval_<from>_to_<to>_s``: square root of the fraction of the intervals, from the start of a
      burst to the next one's, in each of 9 classes; ``root_fraction_duration_<from>_to_<to>_s``: of the durations in 7.
      At least 3 are needed.
    - ``interval_log10_std``, ``size_log10_std``, ``size_log10_skew``: standard deviation of log10(interval) and of
      log10(spikes), and the latter's third standardised moment. ``interval_lv``: local variation, as of single
      electrodes (Shinomoto, Shima and Tanji 2003, doi:10.1162/089976603322518759).
    - ``size_after_pause``, ``size_before_pause``: correlation of log10(pause) with log10(spikes) of the burst after it,
      and before it. If a burst's size depends on the pause before it, the network recovers during the pause; if a pause
      depends on the burst before it, the burst exhausts the network: Tabak, Rinzel and O'Donovan, Journal of
      Neuroscience 21:8966 (2001), doi:10.1523/JNEUROSCI.21-22-08966.2001.
    - ``interval_serial_correlation``, ``size_serial_correlation``: correlation of the logarithm with that of the next
      interval, or burst.

    >>> from mea.features.trains import build_trains
    >>> times_s = [1.01, 2.01, 6.01, 7.01]  # 1, 4 and 1 s apart
    >>> features = compute_network_burst_sequences(build_trains([times_s, times_s], duration_s=10))
    >>> round(features["network_sequence_10_root_fraction_interval_0p6_to_1p2_s"] ** 2, 3)
    0.667
    """
    features: dict[str, float] = {}
    active, spikes = trains.count_active(BIN_MS), trains.count_population(BIN_MS)
    inside = np.concatenate([[0], np.cumsum(spikes)])
    for fraction in ACTIVE_FRACTIONS:
        first, last = find_network_bursts(active, min_active_electrodes(fraction, trains.n_electrodes))
        measures = _count_classes("interval", np.diff(first)) | _count_classes("duration", last - first)
        measures |= _measure_sequence(first, last, np.log10(inside[last] - inside[first]))
        features |= {f"network_sequence_{round(fraction * 100)}_{name}": value for name, value in measures.items()}
    return features


def _count_classes(what: str, bins: np.ndarray) -> dict[str, float]:
    """Square root of the fraction of (k,) lengths, in bins, in each class."""
    edges = np.array([round(edge * 1000 / BIN_MS) for edge in CLASSES[what]])
    counts = np.bincount(np.searchsorted(edges, bins, side="right") - 1, minlength=len(edges))
    roots = np.sqrt(counts / len(bins)) if len(bins) >= MIN_COUNT else np.full(len(edges), NAN)
    return {f"root_fraction_{what}_{name}": float(root) for name, root in zip(_name_classes(CLASSES[what]), roots)}


def _measure_sequence(first: np.ndarray, last: np.ndarray, size: np.ndarray) -> dict[str, float]:
    interval = np.diff(first)
    logs, pause = np.log10(interval), np.log10(first[1:] - last[:-1])
    change = (interval[1:] - interval[:-1]) / (interval[1:] + interval[:-1])
    return {
        "interval_log10_std": nanstd(logs) if len(logs) >= MIN_COUNT else NAN,
        "interval_lv": float(3 * (change**2).mean()) if len(interval) > MIN_COUNT else NAN,
        "interval_serial_correlation": _correlate(logs[1:], logs[:-1]),
        "size_log10_std": nanstd(size) if len(size) >= MIN_COUNT else NAN,
        "size_log10_skew": nanskew(size) if len(size) >= MIN_PAIRS else NAN,
        "size_serial_correlation": _correlate(size[1:], size[:-1]),
        "size_after_pause": _correlate(pause, size[1:]),
        "size_before_pause": _correlate(pause, size[:-1]),
    }


def _correlate(one: np.ndarray, other: np.ndarray) -> float:
    return correlate(one, other) if len(one) >= MIN_PAIRS else NAN


FAMILY = Family("network_burst_sequences", FEATURES, compute_network_burst_sequences)
