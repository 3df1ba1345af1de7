"""The time course of network bursts: how they rise, and how they fade."""

from itertools import pairwise

import numpy as np

from mea.features.nan_statistics import NAN, log10_offset, min_active_electrodes
from mea.features.network_bursts import BIN_MS, find_network_bursts
from mea.features.trains import BASE_MS, Trains

ACTIVE_FRACTION = 0.1  # of all electrodes
MIN_BURSTS = 3
ONSET_EDGES_MS = np.array([-160, -80, -40, 0, 20, 40, 80, 160, 320, 640, 1280, 2560])
RISE_EDGES_MS = np.array([-160, -80, -40, -20, -10, 0])
FALL_EDGES_MS = np.array([5, 15, 25, 45, 85, 165, 325, 645, 1285])  # the peak itself is 0 to 5
SEARCH_MS = 500  # after the onset: where the peak is looked for
SMALL_DENSITY = 1e-6  # per ms
SMALL_HEIGHT = 1e-3
REST = ("log10_peak_delay_ms", "log10_peak_hz", "peak_spread_hz")


def compute_profiles(trains: Trains) -> dict[str, float]:
    """Mean time course of the network bursts (a tenth of all electrodes), from their onset and around their peak.

    In bins of 5 ms, over the bursts whose 160 ms before to 2560 ms after the onset lie within the stretch; undefined
    with fewer than 3 of them. The onset is the beginning of the first 50 ms in which enough electrodes fire, the peak
    the fullest 5 ms within 500 ms of it. Time histograms of network bursts aligned to onset and peak: Van Pelt,
    Wolters, Corner, Rutten and Ramakers, IEEE Transactions on Biomedical Engineering 51:2051 (2004),
    doi:10.1109/TBME.2004.827936.

    - ``profile_log10_density_<from>_to_<to>_ms``: log10(mean share of the window's spikes, per ms, + 10⁻⁶), by the
      time since the onset; ``profile_share_<from>_to_<to>_ms_spread``: standard deviation over the bursts of the share.
    - ``profile_log10_rise_...``, ``profile_log10_fall_<from>_to_<to>_ms``: log10(mean spikes per 5 ms relative to the
      burst's peak + 0.001), by the time before and after the peak.
    - ``profile_log10_peak_delay_ms``: log10(mean time from onset to peak + 5 ms).
    - ``profile_log10_peak_hz``: log10 of the mean rate of an electrode at the peak; ``profile_peak_spread_hz``: the
      rate's standard deviation over the bursts.
    """
    counts = trains.count_population(BASE_MS)
    onset = find_onsets(trains)
    if len(onset) < MIN_BURSTS:
        return dict.fromkeys(_list_names(), NAN)
    peak = onset + np.array([counts[first : first + SEARCH_MS // BASE_MS].argmax() for first in onset])
    height = counts[peak]
    share = _count_between(counts, onset, ONSET_EDGES_MS)
    share = share / share.sum(axis=1, keepdims=True)
    rise, fall = (
        _count_between(counts, peak, edges) / height[:, None] / (np.diff(edges) / BASE_MS)
        for edges in (RISE_EDGES_MS, FALL_EDGES_MS)
    )
    firing_rates_hz = height / trains.n_electrodes * (1000 / BASE_MS)
    values = [
        *log10_offset(share.mean(axis=0) / np.diff(ONSET_EDGES_MS), SMALL_DENSITY),
        *share.std(axis=0),
        *log10_offset(rise.mean(axis=0), SMALL_HEIGHT),
        *log10_offset(fall.mean(axis=0), SMALL_HEIGHT),
        log10_offset((peak - onset).mean() * BASE_MS, BASE_MS),
        np.log10(firing_rates_hz.mean()),
        firing_rates_hz.std(),
    ]
    return dict(zip(_list_names(), map(float, values), strict=True))


def find_onsets(trains: Trains) -> np.ndarray:
    """(bursts,) first base bins of the network bursts whose whole window lies within the stretch."""
    first, _ = find_network_bursts(
        trains.count_active(BIN_MS), min_active_electrodes(ACTIVE_FRACTION, trains.n_electrodes)
    )
    onset = first * (BIN_MS // BASE_MS)
    before, after = ONSET_EDGES_MS[0] // BASE_MS, ONSET_EDGES_MS[-1] // BASE_MS
    return onset[(onset + before >= 0) & (onset + after <= trains.count_bins(BASE_MS))]


def _count_between(counts: np.ndarray, centre: np.ndarray, edges_ms: np.ndarray) -> np.ndarray:
    """(bursts, edges - 1) spikes between the edges around each burst's bin."""
    inside = np.concatenate([[0], np.cumsum(counts)])
    return np.diff(inside[centre[:, None] + edges_ms // BASE_MS], axis=1)


def _list_names() -> list[str]:
    times = [_write(low, high) for low, high in pairwise(ONSET_EDGES_MS.tolist())]
    rise = [f"profile_log10_rise_{_write(low, high)}" for low, high in pairwise(RISE_EDGES_MS.tolist())]
    fall = [f"profile_log10_fall_{_write(low, high)}" for low, high in pairwise(FALL_EDGES_MS.tolist())]
    density, spread = [f"profile_log10_density_{time}" for time in times], [f"profile_share_{t}_spread" for t in times]
    return [*density, *spread, *rise, *fall, *(f"profile_{name}" for name in REST)]


def _write(low_ms: int, high_ms: int) -> str:
    return f"before_{-low_ms}_to_{-high_ms}_ms" if low_ms < 0 else f"{low_ms}_to_{high_ms}_ms"
