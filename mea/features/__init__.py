"""Summary features of a recording's spikes: what it does, in a few hundred numbers.

One module a family; each returns its features by name, so that names and values cannot drift apart. Nothing here sees
the recording's length, its clock, its name, the number of its electrodes or the order in which they are listed: counts
of electrodes are shares of the layout, silent ones included, and distances are in steps of the grid.

Names end with their unit. ``log10`` stands before a quantity whose decimal logarithm is given, ``p`` in a number is
its decimal point. An undefined measure (the size of bursts where there are none) is NaN, never infinite.
"""

import warnings
from collections.abc import Sequence
from functools import cache

import numpy as np

from mea.arrays.events import Events
from mea.features.bursts import describe_bursts
from mea.features.correlations import describe_correlations
from mea.features.intervals import describe_intervals
from mea.features.network_bursts import describe_network_bursts
from mea.features.network_intervals import describe_network_intervals
from mea.features.population import describe_population
from mea.features.profiles import describe_profiles
from mea.features.rates import describe_rates
from mea.features.recruitment import describe_recruitment
from mea.features.return_maps import describe_return_maps
from mea.features.runs import describe_runs
from mea.features.together import describe_together
from mea.features.trains import Trains, cut_trains, empty_trains
from mea.features.waveforms import describe_waveforms

FAMILIES = {
    "intervals": describe_intervals,
    "bursts": describe_bursts,
    "population": describe_population,
    "together": describe_together,
    "correlations": describe_correlations,
    "network_bursts": describe_network_bursts,
    "rates": describe_rates,
}
LASTING_FAMILIES = {  # what takes minutes to show: of whole stretches only, not of their pieces
    "profiles": describe_profiles,
    "recruitment": describe_recruitment,
    "network_intervals": describe_network_intervals,
    "return_maps": describe_return_maps,
    "runs": describe_runs,
}
OVER = ("whole", "mean", "spread")  # of the whole stretch; mean and standard deviation over its pieces


def describe_piece(events: Events, start_s: float, stop_s: float) -> np.ndarray:
    """Features of the events whose peak lies in [start_s, stop_s), each rounded to a sample.

    Returns
    -------
    np.ndarray
        (n_features,) float64, named by :func:`list_features`; NaN where a measure is undefined.

    Raises
    ------
    MeaError
        If the window is empty or leaves the recording.
    """
    return describe_pieces(events, [(start_s, stop_s)])[0]


def describe_pieces(events: Events, windows: Sequence[tuple[float, float]]) -> np.ndarray:
    """(n_windows, n_features): :func:`describe_piece` of each window, given as start and stop in s."""
    return np.array([_describe_trains(cut_trains(events, *window), events) for window in windows])


def describe_stretches(events: Events, windows: Sequence[tuple[float, float]]) -> np.ndarray:
    """(n_windows, n_lasting) features that take minutes to show, named by :func:`list_lasting_features`.

    Windows and errors as for :func:`describe_pieces`.
    """
    cut = [cut_trains(events, *window) for window in windows]
    return np.array([[v for family in LASTING_FAMILIES.values() for v in family(trains).values()] for trains in cut])


def summarise_stretch(whole: np.ndarray, pieces: np.ndarray, lasting: np.ndarray) -> np.ndarray:
    """All features of a stretch of a recording.

    Parameters
    ----------
    whole
        (n_features,) of the stretch, as :func:`describe_piece` gives them.
    pieces
        (n_pieces, n_features) of the pieces it is made of.
    lasting
        (n_lasting,) of the stretch, as :func:`describe_stretches` gives them.

    Returns
    -------
    np.ndarray
        (3 * n_features + n_lasting,), named by :func:`list_summaries`: features of the whole stretch; their mean and
        their standard deviation over the pieces in which each is defined (NaN where it is in none); what lasts.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # undefined in every piece: NaN is what is wanted
        return np.concatenate([whole, np.nanmean(pieces, axis=0), np.nanstd(pieces, axis=0), lasting])


def list_features(has_waveforms: bool) -> list[str]:
    """Names of what :func:`describe_piece` returns, in its order; recordings of voltages have more of them."""
    return [name for names in _name_families(has_waveforms).values() for name in names]


def list_families(has_waveforms: bool) -> list[str]:
    """Family of each feature, in the order of :func:`list_features`."""
    return [family for family, names in _name_families(has_waveforms).items() for _ in names]


def list_lasting_features() -> list[str]:
    """Names of what :func:`describe_stretches` returns, in its order."""
    return [name for names in _name_lasting_families().values() for name in names]


def list_targets() -> list[str]:
    """Names of the features of a stretch that any recording has: none of waveforms, all that takes minutes to show."""
    return list_features(has_waveforms=False) + list_lasting_features()


def list_summaries(has_waveforms: bool) -> list[str]:
    """Names of what :func:`summarise_stretch` returns: ``whole_...``, ``mean_...``, ``spread_...``, ``lasting_...``."""
    summaries = [f"{over}_{name}" for over in OVER for name in list_features(has_waveforms)]
    return summaries + [f"lasting_{name}" for name in list_lasting_features()]


def list_summary_families(has_waveforms: bool) -> list[str]:
    """Family of each feature, in the order of :func:`list_summaries`."""
    lasting = [family for family, names in _name_lasting_families().items() for _ in names]
    return list_families(has_waveforms) * len(OVER) + lasting


@cache
def _name_families(has_waveforms: bool) -> dict[str, tuple[str, ...]]:
    silence = empty_trains()
    names = {family: tuple(describe(silence)) for family, describe in FAMILIES.items()}
    return names | ({"waveforms": tuple(describe_waveforms(silence, None))} if has_waveforms else {})


@cache
def _name_lasting_families() -> dict[str, tuple[str, ...]]:
    return {family: tuple(describe(empty_trains())) for family, describe in LASTING_FAMILIES.items()}


def _describe_trains(trains: Trains, events: Events) -> np.ndarray:
    features = [value for describe in FAMILIES.values() for value in describe(trains).values()]
    if events.has_waveforms:
        features += describe_waveforms(trains, events).values()
    return np.array(features, np.float64)
