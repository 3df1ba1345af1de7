"""Summary features of a recording's spikes: what it does, in a few hundred numbers.

One module a family; each returns its features by name, so that names and values cannot drift apart. Nothing here sees
the recording's length, its clock, its name, the number of its electrodes or the order in which they are listed: counts
of electrodes are shares of the layout, silent ones included, and distances are in steps of the grid.

Names end with their unit. ``log10`` stands before a quantity whose decimal logarithm is given, ``p`` in a number is
its decimal point. An undefined measure (the size of bursts where there are none) is NaN, never infinite.
"""

import warnings
from functools import cache

import numpy as np

from mea.errors import BadRecording, MeaError
from mea.events import Events
from mea.features.bursts import describe_bursts
from mea.features.correlations import describe_correlations
from mea.features.intervals import describe_intervals
from mea.features.network_bursts import describe_network_bursts
from mea.features.population import describe_population
from mea.features.rates import describe_rates
from mea.features.together import describe_together
from mea.features.trains import Trains, cut_trains, empty_trains, slice_trains
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
    return _describe_trains(cut_trains(events, start_s, stop_s), events)


def describe_recording(events: Events, piece_s: float | None, first_s: float | None) -> np.ndarray:
    """Features of a whole recording, and how they vary along it.

    Parameters
    ----------
    events
        The recording.
    piece_s
        Length of a piece, rounded to a sample; a remainder is dropped. None for the whole stretch only.
    first_s
        Use only this much of the recording, so that its length cannot tell its class; None for all.

    Returns
    -------
    np.ndarray
        float64, named by :func:`list_recording_features`: features of the whole stretch, then the mean and the standard
        deviation over the pieces in which a feature is defined (NaN where it is in none).

    Raises
    ------
    MeaError
        If ``piece_s`` or ``first_s`` is not longer than a sample.
    BadRecording
        If the stretch is shorter than one piece.
    """
    whole = cut_trains(events, 0, _limit_stretch(events, first_s))
    features = _describe_trains(whole, events)
    if piece_s is None:
        return features
    length = _count_samples(events, "piece_s", piece_s)
    firsts = range(0, whole.n_samples - length + 1, length)
    if not firsts:
        raise BadRecording(
            f"{events.recording}: {whole.n_samples / whole.rate_hz:g} s are shorter than one piece (piece_s = "
            f"{piece_s:g} s). Choose shorter pieces, or remove the recording."
        )
    pieces = np.stack([_describe_trains(slice_trains(whole, first, first + length), events) for first in firsts])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all pieces undefined: NaN is what is wanted
        return np.concatenate([features, np.nanmean(pieces, axis=0), np.nanstd(pieces, axis=0)])


def list_features(has_waveforms: bool) -> list[str]:
    """Names of what :func:`describe_piece` returns, in its order; recordings of voltages have more of them."""
    return [name for names in _name_families(has_waveforms).values() for name in names]


def list_families(has_waveforms: bool) -> list[str]:
    """Family of each feature, in the order of :func:`list_features`."""
    return [family for family, names in _name_families(has_waveforms).items() for _ in names]


def list_recording_features(has_waveforms: bool, with_pieces: bool = True) -> list[str]:
    """Names of what :func:`describe_recording` returns, in its order: ``whole_...``, ``mean_...``, ``spread_...``."""
    return [f"{over}_{name}" for over in OVER[: 3 if with_pieces else 1] for name in list_features(has_waveforms)]


@cache
def _name_families(has_waveforms: bool) -> dict[str, tuple[str, ...]]:
    silence = empty_trains()
    names = {family: tuple(describe(silence)) for family, describe in FAMILIES.items()}
    return names | ({"waveforms": tuple(describe_waveforms(silence, None))} if has_waveforms else {})


def _describe_trains(trains: Trains, events: Events) -> np.ndarray:
    features = [value for describe in FAMILIES.values() for value in describe(trains).values()]
    if events.has_waveforms:
        features += describe_waveforms(trains, events).values()
    return np.array(features, np.float64)


def _limit_stretch(events: Events, first_s: float | None) -> float:
    stop = events.n_samples if first_s is None else min(events.n_samples, _count_samples(events, "first_s", first_s))
    return stop / events.rate_hz


def _count_samples(events: Events, name: str, seconds: float) -> int:
    samples = round(seconds * events.rate_hz)
    if samples < 1:
        raise MeaError(
            f"{name} = {seconds:g} s of recording {events.recording} ({events.rate_hz} Hz): must hold at least one "
            "sample. Choose a longer one."
        )
    return samples
