"""The time course of network bursts: how they rise and how they fade."""

from itertools import pairwise

import numpy as np

from mea.features.feature import Family, Feature
from mea.features.nan_statistics import NAN, log10_offset, min_active_electrodes
from mea.features.network_bursts import BIN_MS, find_network_bursts
from mea.features.trains import BASE_MS, Trains

ACTIVE_FRACTION = 0.1  # of all electrodes
MIN_BURSTS = 3
ONSET_EDGES_MS = np.array([-160, -80, -40, 0, 20, 40, 80, 160, 320, 640, 1280, 2560])
RISE_EDGES_MS = np.array([-160, -80, -40, -20, -10, 0])
FALL_EDGES_MS = np.array([5, 15, 25, 45, 85, 165, 325, 645, 1285])  # the peak itself is 0 to 5
SEARCH_MS = 500  # after the onset: where the peak is looked for
OFFSET_DENSITY = 1e-6  # per ms
OFFSET_HEIGHT = 1e-3


def _format_window(low_ms: int, high_ms: int) -> str:
    return f"before_{-low_ms}_to_{-high_ms}_ms" if low_ms < 0 else f"{low_ms}_to_{high_ms}_ms"


def _name_windows(edges_ms: np.ndarray) -> list[str]:
    return [_format_window(low, high) for low, high in pairwise(edges_ms.tolist())]


def _format_time(name: str, event: str) -> str:
    return (
        name.removeprefix("before_").replace("_", " ")
        + (" before " if name.startswith("before") else " after ")
        + event
    )


def _list_features() -> tuple[Feature, ...]:
    onset = {name: _format_time(name, "the onset") for name in _name_windows(ONSET_EDGES_MS)}
    features = [
        Feature(
            f"profile_log10_density_{name}", "log10(1/ms)", f"mean fraction of a burst's spikes per ms, {when}, + 10⁻⁶"
        )
        for name, when in onset.items()
    ]
    features += [
        Feature(f"profile_fraction_{name}_std", "", f"fraction of a burst's spikes {when}, standard deviation")
        for name, when in onset.items()
    ]
    for side, edges_ms in (("rise", RISE_EDGES_MS), ("fall", FALL_EDGES_MS)):
        for name in _name_windows(edges_ms):
            words = f"mean spikes per 5 ms relative to the peak, {_format_time(name, 'the peak')}, + 0.001"
            features.append(Feature(f"profile_log10_{side}_{name}", "log10", words))
    return (
        *features,
        Feature("profile_log10_peak_delay_ms", "log10(ms)", "mean time from the onset to the peak + 5 ms"),
        Feature("profile_log10_peak_hz", "log10(Hz)", "mean firing rate of an electrode at the peak"),
        Feature(
            "profile_peak_std_hz", "Hz", "firing rate of an electrode at the peak, standard deviation over the bursts"
        ),
    )


FEATURES = _list_features()


def compute_profiles(trains: Trains) -> dict[str, float]:
    """Mean time course of network bursts (10 % of all electrodes), from their onset and around their peak.

    In bins of 5 ms, over the bursts whose 160 ms before to 2560 ms after the onset lie in the window; undefined for
    fewer than 3 of them. The onset is the start of the first 50 ms in which enough electrodes fire, the peak is the
    fullest 5 ms within 500 ms of it. Time histograms of network bursts aligned to onset and peak: Van Pelt, Wolters,
    Corner, Rutten and Ramakers, IEEE Transactions on Biomedical Engineering 51:2051 (2004),
    doi:10.1109/TBME.2004.827936.

    - ``profile_log10_density_<from>_to_<to>_ms``: log10(mean fraction of the burst's spikes, per ms, + 10⁻⁶), by the
      time since the onset; ``profile_fraction_<from>_to_<to>_ms_std``: standard deviation of the fraction over bursts.
    - ``profile_log10_rise_...``, ``profile_log10_fall_<from>_to_<to>_ms``: log10(mean spikes per 5 ms relative to the
      burst's peak + 0.001), by the time before and after the peak.
    - ``profile_log10_peak_delay_ms``: log10(mean time from onset to peak + 5 ms).
    - ``profile_log10_peak_hz``: log10 of the mean firing rate of an electrode at the peak; ``profile_peak_std_hz``: its
      standard deviation over the bursts.

    >>> from mea.features.trains import build_trains
    >>> times_s = [2.002, 6.002, 10.002]  # three bursts of one spike on each of two electrodes
    >>> features = compute_profiles(build_trains([times_s, times_s], duration_s=14))
    >>> round(features["profile_log10_density_0_to_20_ms"], 3)  # all spikes within 20 ms: log10(1 / 20)
    -1.301
    """
    counts = trains.count_population(BASE_MS)
    onset = find_onsets(trains)
    if len(onset) < MIN_BURSTS:
        return {feature.name: NAN for feature in FEATURES}
    peak = onset + np.array([counts[first : first + SEARCH_MS // BASE_MS].argmax() for first in onset])
    height = counts[peak]
    fraction = _count_between(counts, onset, ONSET_EDGES_MS)
    fraction = fraction / fraction.sum(axis=1, keepdims=True)
    rise, fall = (
        _count_between(counts, peak, edges) / height[:, None] / (np.diff(edges) / BASE_MS)
        for edges in (RISE_EDGES_MS, FALL_EDGES_MS)
    )
    firing_rates_hz = height / trains.n_electrodes * (1000 / BASE_MS)
    values = [
        *log10_offset(fraction.mean(axis=0) / np.diff(ONSET_EDGES_MS), OFFSET_DENSITY),
        *fraction.std(axis=0),
        *log10_offset(rise.mean(axis=0), OFFSET_HEIGHT),
        *log10_offset(fall.mean(axis=0), OFFSET_HEIGHT),
        log10_offset((peak - onset).mean() * BASE_MS, BASE_MS),
        np.log10(firing_rates_hz.mean()),
        firing_rates_hz.std(),
    ]
    return {feature.name: float(value) for feature, value in zip(FEATURES, values, strict=True)}


def find_onsets(trains: Trains) -> np.ndarray:
    """(bursts,) first base bins of the network bursts whose profile lies in the window."""
    min_active = min_active_electrodes(ACTIVE_FRACTION, trains.n_electrodes)
    first, _ = find_network_bursts(trains.count_active(BIN_MS), min_active)
    onset = first * (BIN_MS // BASE_MS)
    before, after = ONSET_EDGES_MS[0] // BASE_MS, ONSET_EDGES_MS[-1] // BASE_MS
    return onset[(onset + before >= 0) & (onset + after <= trains.count_bins(BASE_MS))]


def _count_between(counts: np.ndarray, centre: np.ndarray, edges_ms: np.ndarray) -> np.ndarray:
    """(bursts, edges - 1) spikes between the edges around each burst's bin."""
    inside = np.concatenate([[0], np.cumsum(counts)])
    return np.diff(inside[centre[:, None] + edges_ms // BASE_MS], axis=1)


FAMILY = Family("profiles", FEATURES, compute_profiles)
