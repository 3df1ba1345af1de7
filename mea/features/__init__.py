"""Summary features of a recording's spikes: what it does, in a few hundred numbers.

One module a family; each returns its features by name, so that names and values cannot drift apart. Nothing here sees
the recording's length, its clock, its name, the number of its electrodes or the order in which they are listed: counts
of electrodes are shares of the layout, silent ones included, and distances are in steps of the grid.

Names end with their unit. ``log10`` stands before a quantity whose decimal logarithm is given, ``p`` in a number is
its decimal point. An undefined measure (the size of bursts where there are none) is NaN, never infinite.

Uses arrays and what is below. Begin with ``trains``: the spikes of a window, as every family takes them.
"""

import warnings
from collections.abc import Sequence
from functools import cache

import numpy as np

from mea.arrays.events import Events
from mea.features.bursts import compute_bursts
from mea.features.correlations import compute_correlations
from mea.features.firing_rates import compute_firing_rates
from mea.features.isi import compute_isi
from mea.features.network_burst_sequences import compute_network_burst_sequences
from mea.features.network_bursts import compute_network_bursts
from mea.features.population import compute_population
from mea.features.profiles import compute_profiles
from mea.features.recruitment import compute_recruitment
from mea.features.return_maps import compute_return_maps
from mea.features.runs import compute_runs
from mea.features.synchrony import compute_synchrony
from mea.features.trains import Trains, cut_trains, empty_trains
from mea.features.waveforms import compute_waveforms

FAMILIES = {
    "intervals": compute_isi,
    "bursts": compute_bursts,
    "population": compute_population,
    "together": compute_synchrony,
    "correlations": compute_correlations,
    "network_bursts": compute_network_bursts,
    "rates": compute_firing_rates,
}
LONG_WINDOW_FAMILIES = {  # need minutes: of whole windows only, not of their chunks
    "profiles": compute_profiles,
    "recruitment": compute_recruitment,
    "network_intervals": compute_network_burst_sequences,
    "return_maps": compute_return_maps,
    "runs": compute_runs,
}
SUMMARIES = ("whole", "mean", "std")  # of the whole window; mean and standard deviation over its chunks


def compute_features(events: Events, windows: Sequence[tuple[float, float]]) -> np.ndarray:
    """Features of the spikes whose peak lies in each window.

    Parameters
    ----------
    events
        A recording's spikes.
    windows
        Start and stop of each, s; each is rounded to a sample, and the stop is excluded.

    Returns
    -------
    np.ndarray
        (n_windows, n_features) float64, named by :func:`list_features`; NaN where a feature is undefined.

    Raises
    ------
    MeaError
        If a window is empty or leaves the recording.
    """
    return np.array([_compute_families(cut_trains(events, *window), events) for window in windows])


def compute_long_window_features(events: Events, windows: Sequence[tuple[float, float]]) -> np.ndarray:
    """(n_windows, n_long_window_features) of windows of minutes, named by :func:`list_long_window_features`.

    They need many bursts, or many intervals of each electrode. Windows and errors as for :func:`compute_features`.
    """
    cut = [cut_trains(events, *window) for window in windows]
    families = LONG_WINDOW_FAMILIES.values()
    return np.array([[value for compute in families for value in compute(trains).values()] for trains in cut])


def summarise_recording(whole: np.ndarray, chunks: np.ndarray, long_window: np.ndarray) -> np.ndarray:
    """All features of a recording, or of the part of it that its chunks cover.

    Parameters
    ----------
    whole
        (n_features,) of the whole window, as :func:`compute_features` gives them.
    chunks
        (n_chunks, n_features) of the chunks in it.
    long_window
        (n_long_window_features,) of the whole window, as :func:`compute_long_window_features` gives them.

    Returns
    -------
    np.ndarray
        (3 * n_features + n_long_window_features,), named by :func:`list_summaries`: the features of the whole window;
        their mean and their standard deviation over the chunks in which each is defined (NaN where it is in none); the
        long-window features.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # undefined in every chunk: NaN is what is wanted
        return np.concatenate([whole, np.nanmean(chunks, axis=0), np.nanstd(chunks, axis=0), long_window])


def list_features(has_waveforms: bool) -> list[str]:
    """Names of the columns of :func:`compute_features`; recordings with voltages have more."""
    return [name for names in _name_families(has_waveforms).values() for name in names]


def list_families(has_waveforms: bool) -> list[str]:
    """Family of each feature, in the order of :func:`list_features`."""
    return [family for family, names in _name_families(has_waveforms).items() for _ in names]


def list_long_window_features() -> list[str]:
    """Names of the columns of :func:`compute_long_window_features`."""
    return [name for names in _name_long_window_families().values() for name in names]


def list_targets() -> list[str]:
    """Names of all features that any recording has: no waveform features, but the long-window features."""
    return list_features(has_waveforms=False) + list_long_window_features()


def list_summaries(has_waveforms: bool) -> list[str]:
    """Names of what :func:`summarise_recording` returns: ``whole_``, ``mean_``, ``std_``, ``long_window_``."""
    summaries = [f"{summary}_{name}" for summary in SUMMARIES for name in list_features(has_waveforms)]
    return summaries + [f"long_window_{name}" for name in list_long_window_features()]


def list_summary_families(has_waveforms: bool) -> list[str]:
    """Family of each feature, in the order of :func:`list_summaries`."""
    long_window = [family for family, names in _name_long_window_families().items() for _ in names]
    return list_families(has_waveforms) * len(SUMMARIES) + long_window


@cache
def _name_families(has_waveforms: bool) -> dict[str, tuple[str, ...]]:
    silence = empty_trains()
    names = {family: tuple(compute(silence)) for family, compute in FAMILIES.items()}
    return names | ({"waveforms": tuple(compute_waveforms(silence, None))} if has_waveforms else {})


@cache
def _name_long_window_families() -> dict[str, tuple[str, ...]]:
    return {family: tuple(compute(empty_trains())) for family, compute in LONG_WINDOW_FAMILIES.items()}


def _compute_families(trains: Trains, events: Events) -> np.ndarray:
    features = [value for compute in FAMILIES.values() for value in compute(trains).values()]
    if events.has_waveforms:
        features += compute_waveforms(trains, events).values()
    return np.array(features, np.float64)
